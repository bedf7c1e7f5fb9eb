import numpy as np
import pytest
from checks import SEEDS, STEPS, WIDTHS, by_hand

from hptransfer.errors import DynamicsError

CHECK = by_hand()


def test_a_panel_a_layer_with_a_line_and_its_points_for_each_step() -> None:
    axes = CHECK.plot()
    assert [axis.get_title(loc="left").splitlines()[0] for axis in axes] == ["tokens", "readout"]
    change = CHECK.sizes["readout"][:, :, 1:, 2]
    for step in range(STEPS):
        mean, points = axes[1].get_lines()[2 * step : 2 * step + 2]
        assert mean.get_xdata().tolist() == list(WIDTHS)
        assert mean.get_ydata() == pytest.approx(np.log2(change[:, :, step]).mean(axis=1))
        assert len(points.get_xdata()) == len(WIDTHS) * SEEDS
    axes[0].figure.canvas.draw()


def test_titles_say_the_verdict_and_the_slopes_of_the_first_and_the_last_step() -> None:
    axes = CHECK.plot()
    assert axes[1].get_title(loc="left").splitlines()[1] == "grows, +0.50 to +0.50"
    head = axes[0].figure.get_suptitle()
    assert head.startswith("sp, sp coordinates: failed: 1 of 2 layers\n")
    assert "steps 1 to 2" in head


def test_panels_share_the_height_of_their_axis() -> None:
    heights = [np.diff(axis.get_ylim()).item() for axis in CHECK.plot()]
    assert heights[0] == pytest.approx(heights[1])
    spread = np.ptp(np.log2(CHECK.sizes["readout"][:, :, 1:, 2]))
    assert heights[1] == pytest.approx(1.1 * spread + 0.5)


def test_a_pattern_chooses_layers() -> None:
    (axis,) = CHECK.plot("read*")
    assert axis.get_title(loc="left").startswith("readout")
    with pytest.raises(DynamicsError, match="none of tokens, readout"):
        CHECK.plot("nothing*")
