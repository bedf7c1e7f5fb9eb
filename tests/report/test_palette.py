import re

from matplotlib.colors import to_rgb

from hptransfer.report import palette


def test_scale_colours_darken_evenly_and_stand_out_from_paper() -> None:
    def luminance(colour: str) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for n in range(1, 9):
        light = [luminance(c) for c in palette.sequence(n)]
        assert light == sorted(light, reverse=True)
        assert all(1.05 / (value + 0.05) >= 3 for value in light)
        assert all(re.fullmatch("#[0-9a-f]{6}", c) for c in palette.sequence(n))
    for text in (palette.INK, palette.GREY, palette.ACCENT):
        assert 1.05 / (luminance(text) + 0.05) >= 4.5


def test_no_colours_for_nothing() -> None:
    assert palette.sequence(0) == []
