from collections.abc import Callable
from dataclasses import replace

from hptransfer.fit import TransferFit
from hptransfer.report import page_answer


def _opening(fit: TransferFit) -> str:
    return page_answer.opening(fit, "Does it?", list(fit.variants.values()), "<p>first</p>")


def test_the_value_to_use_is_large_and_a_guess_is_called_one(fit: TransferFit) -> None:
    text = _opening(fit)
    assert text.index("<p>first</p>") < text.index("The answer")
    assert 'Best guess of lr at width 1,024<b class="guess">0.00021</b>' in text  # sp is unpredictable
    assert "lr at width 1,024<b>0.00051</b>2<sup>−10.93</sup>; optimum in [0.00046, 0.00065]" in text
    assert "Invariant" not in text.split("The answer")[0]


def test_an_undecided_variant_names_the_suggested_runs(make_fit: Callable[..., TransferFit]) -> None:
    text = _opening(make_fit(("a", "b", "c", "d")))
    assert text.count("Suggested runs: width 128 at lr = 0.0110 (3 seeds, 2.4e12 FLOPs).") == 1


def test_without_a_target_or_a_law_it_says_so(
    make_fit: Callable[..., TransferFit], thin_fit: TransferFit
) -> None:
    assert "No target was asked for." in _opening(make_fit(("a",), targets=()))
    assert "There is no prediction at width 1,024: too few scales" in _opening(thin_fit)


def test_notes_of_the_table_are_escaped(fit: TransferFit) -> None:
    text = _opening(replace(fit, sweep=replace(fit.sweep, notes=("<hr>",))))
    assert "&lt;hr&gt;" in text
