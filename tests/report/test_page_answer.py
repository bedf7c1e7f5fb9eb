from collections.abc import Callable
from dataclasses import replace

from hptransfer.fit import TransferFit
from hptransfer.report import number_format, page_answer


def _opening(fit: TransferFit) -> str:
    return page_answer.opening(fit, "Does it?", list(fit.variants.values()))


def test_the_answer_is_one_table_with_the_value_to_use(fit: TransferFit) -> None:
    text = _opening(fit)
    assert "<h2>The answer for width 1,024</h2>" in text
    assert text.count("<tbody>") == 1
    assert '<span class="mark yes"></span>yes' in text
    assert '<td class="use guess">0.00021?</td>' in text  # sp: neither may be done
    assert '<td class="use">0.00033</td>' in text  # sp+embd: its law may be followed


def test_a_value_that_may_be_kept_is_the_one_that_was_found(fit: TransferFit) -> None:
    mup = fit.variants["mup"]
    row = _opening(fit).partition("<tbody>")[2].split("</tr>")[2]
    assert f'<td class="use">{number_format.decimal(mup.verdict.kept_hp)}</td>' in row


def test_an_undecided_variant_names_the_suggested_runs(make_fit: Callable[..., TransferFit]) -> None:
    text = _opening(make_fit(("a", "b", "c", "d")))
    assert "In simulation this settles it in 88% of cases, for 31% of what was spent" in text
    assert "width 128 at lr = 0.0110 (3 seeds, 2.4e12 FLOPs)" in text


def test_without_a_target_or_a_law_it_says_so(
    make_fit: Callable[..., TransferFit], thin_fit: TransferFit
) -> None:
    assert "No target was asked for: name one" in _opening(make_fit(("a",), targets=()))
    assert "There is no prediction at width 1,024: too few scales" in _opening(thin_fit)


def test_notes_of_the_table_are_escaped(fit: TransferFit) -> None:
    text = _opening(replace(fit, sweep=replace(fit.sweep, notes=("<hr>",))))
    assert "&lt;hr&gt;" in text


def test_the_demonstrations_sentences_stand_below_the_table(fit: TransferFit) -> None:
    text = _opening(fit)
    assert text.count("<li>Under ") == 2
    assert text.index("</table>") < text.index("<li>Under SP the learning rate does not transfer")
