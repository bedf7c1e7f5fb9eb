from __future__ import annotations

import pytest

from hptransfer.errors import DynamicsError
from hptransfer.runs.probe_names import DEFAULT, PROBES, check_names


def test_every_probe_but_the_dear_ones_is_measured_by_default() -> None:
    assert set(PROBES) - set(DEFAULT) == {"critical_lr", "critical_sharpness"}
    assert check_names(None) == DEFAULT
    assert check_names(["all"]) == tuple(PROBES)


def test_every_probe_says_what_it_is_of() -> None:
    assert {probe.of for probe in PROBES.values()} == {"tensor", "layer", "run"}
    assert {probe.unit for probe in PROBES.values()} == {"", "nats"}
    assert all(probe.definition for probe in PROBES.values())
    # What may be zero or negative has no logarithm, and so no slope against width.
    linear = {name for name, probe in PROBES.items() if probe.linear}
    assert linear == {"log_alignment", "attention_logit_max", "log_z"}


def test_quarters_of_the_vocabulary_go_from_frequent_to_rare() -> None:
    quarters = [PROBES[f"row_rms_q{i}"].definition for i in range(1, 5)]
    assert [text.split("over the ")[1].split(" quarter")[0] for text in quarters] == [
        "most frequent",
        "second",
        "third",
        "rarest",
    ]


def test_names_keep_their_order_and_come_once() -> None:
    assert check_names(["lr", "grad_norm", "lr"]) == ("lr", "grad_norm")
    with pytest.raises(DynamicsError, match=r"'grad_nrom' .*did you mean 'grad_norm'.* valid: weight_rms, "):
        check_names(["lr", "grad_nrom"])
