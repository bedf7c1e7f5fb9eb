"""The colours of every figure: ink, greys, one accent, and a sequence for scales."""

from __future__ import annotations

import numpy as np

INK = "#1c1c1c"
PAPER = "#ffffff"
GREY = "#66665f"  # 5.8:1 on white: captions and secondary text
HAIR = "#d8d6d0"  # rules and context lines
ACCENT = "#b3401a"  # 5.9:1 on white: the optimum, its law, the answer
BAND_OPACITY = 0.13  # of a prediction band
HEAT = ("#f4f1ea", "#8fbfae", "#2f6f97", "#2a2560")  # low to high value of a heat map

# Small to large scale. Lightness falls evenly and the hue moves from green to indigo, so the order reads
# in grey print and under every common colour deficiency; the lightest has 3.1:1 on white.
_SEQUENCE = ("#55a088", "#2f7f9b", "#2f559a", "#2a2560")


def sequence(n: int) -> list[str]:
    """`n` colours from the lightest (smallest scale) to the darkest (largest), as #rrggbb."""
    anchors = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in _SEQUENCE], dtype=float)
    at = np.linspace(0, len(anchors) - 1, n) if n > 1 else np.array([len(anchors) - 1.0])[:n]
    channels = [np.interp(at, np.arange(len(anchors)), anchors[:, i]) for i in range(3)]
    return [
        "#{:02x}{:02x}{:02x}".format(*(round(float(v)) for v in rgb)) for rgb in zip(*channels, strict=True)
    ]


def faded(colour: str, alpha: float) -> str:
    """`rgba(r,g,b,alpha)` of a #rrggbb colour, as browsers read it."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:g})"
