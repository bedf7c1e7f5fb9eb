"""Progress below a notebook's cell: what it says, when it is drawn, and where it goes."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import fake_trainer
import pytest
from small_study import study

from hptransfer.runs.config import RunRecord
from hptransfer.study import notebook_display
from hptransfer.study.notebook_display import NotebookDisplay, html, in_notebook
from hptransfer.study.planner import plan
from hptransfer.study.progress import Progress


class ZMQInteractiveShell:
    """Named as Jupyter's, VS Code's and Colab's shell is."""


class TerminalInteractiveShell:
    """Named as IPython's in a terminal is."""


@pytest.fixture
def progress() -> Progress:
    progress = Progress(study(train={"steps": 100}), workers=2)
    stacks = plan(progress.spec, {})
    for stack in stacks:
        progress.open(stack)
    progress.close(
        stacks[0], [RunRecord(r.run_id, "done", fake_trainer.loss(r.spec)) for r in stacks[0].runs]
    )
    return progress


def shell(monkeypatch: pytest.MonkeyPatch, kind: type | None) -> list[str]:
    """IPython with this shell; what its one display is made to show."""
    shown: list[str] = []
    handle = SimpleNamespace(update=shown.append)
    display = SimpleNamespace(HTML=str, display=lambda first, display_id: handle)
    monkeypatch.setitem(
        sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: kind and kind(), display=display)
    )
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return shown


@pytest.mark.parametrize(
    ("kind", "is_one"), [(ZMQInteractiveShell, True), (TerminalInteractiveShell, False), (None, False)]
)
def test_a_terminal_is_no_notebook(monkeypatch: pytest.MonkeyPatch, kind: type | None, is_one: bool) -> None:
    shell(monkeypatch, kind)
    assert in_notebook() == is_one


def test_the_bar_and_the_table(progress: Progress) -> None:
    text = html(progress.snapshot())
    for part in ('<progress value="6" max="24">', "<th>width 32</th>", "<td>6/6, best 3.3"):
        assert part in text


def test_it_is_drawn_once_a_second_and_at_the_end(
    monkeypatch: pytest.MonkeyPatch, progress: Progress
) -> None:
    shown = shell(monkeypatch, ZMQInteractiveShell)
    now = [0.0]
    monkeypatch.setattr(notebook_display, "time", SimpleNamespace(monotonic=lambda: now[0]))
    display = NotebookDisplay()
    for now[0] in (5.0, 5.4, 6.1):
        display.update(progress.snapshot())
    assert len(shown) == 2
    display.update(progress.snapshot(), last=True)
    assert len(shown) == 3


def test_marimo_s_output_is_replaced(monkeypatch: pytest.MonkeyPatch, progress: Progress) -> None:
    shown: list[str] = []
    output = SimpleNamespace(replace=shown.append)
    module = SimpleNamespace(running_in_notebook=lambda: True, Html=lambda text: text, output=output)
    monkeypatch.setitem(sys.modules, "marimo", module)
    assert in_notebook()
    NotebookDisplay().update(progress.snapshot(), last=True)
    assert "6/24 runs" in shown[0]
