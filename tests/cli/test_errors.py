import pytest
import typer
from tests.cli.sweep_text import table

from hptransfer.cli.errors import handle_errors
from hptransfer.errors import SpecError
from hptransfer.study.run import StudyInterrupted


def test_interrupts_exit_with_130(run, csv, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("hptransfer.cli.fit.quantify", interrupted)
    assert run("fit", csv(table())) == (130, "", "interrupted\n")


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (SpecError("two\n  lines"), 2, "error: two lines"),
        (OSError(28, "No space left on device", "/a/file"), 2, "error: No space left on device: /a/file"),
        (OSError("strange"), 2, "error: strange"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (StudyInterrupted("3 runs are kept"), 130, "3 runs are kept"),
    ],
)
def test_what_a_user_can_cause_is_one_line_and_a_code(capsys, error, code, text):
    def command():
        raise error

    with pytest.raises(typer.Exit) as ended:
        handle_errors(command)()
    assert ended.value.exit_code == code
    assert capsys.readouterr().err == f"{text}\n"


def test_a_bug_is_not_hidden_and_a_good_command_returns():
    def broken():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        handle_errors(broken)()
    assert handle_errors(lambda: None)() is None
