import json
from dataclasses import replace

import pytest
from checks import SEEDS, STEPS, WIDTHS, by_hand

from hptransfer.dynamics.result import NO_PROOF, UNSEEN
from hptransfer.dynamics.slopes import check_layer
from hptransfer.errors import DynamicsError

CHECK = by_hand()


def test_layers_that_grow_fail() -> None:
    assert [layer.verdict for layer in CHECK.layers] == ["stable", "grows"]
    assert not CHECK.passed
    assert [layer.name for layer in CHECK.failures] == ["readout"]


def test_the_summary_says_verdict_settings_slopes_and_limits() -> None:
    lines = repr(CHECK).splitlines()
    assert lines[0] == "coordinate check of sp: FAILED (1 grows, 1 stable)"
    assert lines[1] == (
        "widths 16, 64, 256; base 16; sp coordinates, lr 0.01; adamw; 2 steps, 2 seeds; slopes of log2 RMS "
        "on log2 width, 95% intervals; flat: -0.25 to 0.1"
    )
    assert lines[2] == "training loss, first to last step, by width: 3 to 2, 3 to 2, 3 to 2"
    assert lines[4].split("  ")[0] == "layer"
    (row,) = (line for line in lines if line.startswith("readout"))
    assert "grows" in row
    assert "+0.50 ± 0.00" in row
    assert lines[-3:] == ["A note.", UNSEEN, NO_PROOF]


def test_frames_hold_every_number() -> None:
    assert CHECK.to_frame().layer.tolist() == ["tokens", "readout"]
    slopes = CHECK.to_frame("slopes").query("layer == 'readout' and quantity == 'change' and step == 2")
    assert slopes.slope.item() == pytest.approx(0.5, abs=0.01)
    assert slopes.low.item() < slopes.slope.item() < slopes.high.item()
    sizes = CHECK.to_frame("sizes")
    assert len(sizes) == 2 * len(WIDTHS) * SEEDS * (STEPS + 1)
    row = sizes.query("layer == 'readout' and width == 64 and seed == 1 and step == 2").iloc[0]
    assert row.change_rms == CHECK.sizes["readout"][1, 1, 2, 2]
    assert row.activation_mean_abs == CHECK.sizes["readout"][1, 1, 2, 1]
    with pytest.raises(DynamicsError, match="layers, slopes, sizes"):
        CHECK.to_frame("metrics")


def test_json_holds_verdicts_slopes_and_notes(tmp_path) -> None:
    text = CHECK.to_json(tmp_path / "check.json")
    assert (tmp_path / "check.json").read_text() == text + "\n"
    data = json.loads(text)
    assert (data["schema"], data["passed"], data["settings"]["widths"]) == (1, False, list(WIDTHS))
    readout = data["layers"][1]
    assert (readout["layer"], readout["verdict"]) == ("readout", "grows")
    assert [(s["quantity"], s["step"]) for s in readout["slopes"]] == [
        *(("activation", step) for step in range(3)),
        *(("change", step) for step in (1, 2)),
    ]
    assert data["notes"] == ["A note.", UNSEEN, NO_PROOF]


def test_a_number_that_is_not_finite_is_null_in_json() -> None:
    sizes = CHECK.sizes["readout"].copy()
    sizes[2, 0, 1, 2] = float("inf")
    layer = check_layer("readout", sizes[..., [0, 2]], WIDTHS, 0.95, (-0.25, 0.1))
    assert layer is not None
    slope = json.loads(replace(CHECK, layers=(layer,)).to_json())["layers"][0]["slopes"][3]
    assert (slope["step"], slope["slope"], slope["low"]) == (1, None, None)
