from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_study import study

from hptransfer.errors import SpecError
from hptransfer.study.spec import StudySpec, load_study, parse_study
from hptransfer.workers.user_code.config import fill, values


def own(command: Any = "train {lr} {width} {seed}", **trial: Any) -> StudySpec:
    return study(variants=["mine", "other"], trial={"kind": "command", "command": command, **trial})


def test_a_command_is_split_as_a_shell_would_and_filled_with_the_run_s_values() -> None:
    spec = own("python 'my train.py' --lr={lr} --lr-mup {lr_mup} --w {width} --rule {variant} {{x}}")
    run = spec.run("other", 64, 0, 0)
    assert spec.trial.command is not None
    assert fill(spec.trial.command, values(run)) == [
        "python", "my train.py", f"--lr={2.0**-13!r}", "--lr-mup", repr(2.0**-12), "--w", "64",
        "--rule", "other", "{x}",
    ]  # fmt: skip
    assert own(["python", "my train.py"]).trial.command == ("python", "my train.py")


def test_the_sections_of_the_spec_are_values_too() -> None:
    spec = own("t {steps} {batch_size} {context} {depth} {base_width} {run_id} {result} {folder}")
    known = values(spec.run("mine", 64, 0, 0))
    assert (known["steps"], known["base_width"], known["width"]) == (10, 32, 64)


def test_what_is_called_is_part_of_a_run_s_identity_and_how_is_not() -> None:
    first = own().run("mine", 32, 0, 0).run_id
    assert first == own(timeout=3, retries=9, cwd="elsewhere").run("mine", 32, 0, 0).run_id
    others = (own("train {lr} {width}"), own(environment={"DATA": "x"}), study())
    assert first not in {s.run(next(iter(s.variants_with_decay())), 32, 0, 0).run_id for s in others}


def test_own_code_takes_any_width_and_variant_and_one_run_at_a_time() -> None:
    spec = study(variants=["adamw-2"], widths=[30, 47], trial={"kind": "function", "function": "a.b:c"})
    assert (spec.stack_size, spec.variants_with_decay()) == (1, {"adamw-2": ("adamw-2", 0.0)})
    assert parse_study(spec.model_dump(mode="json")) == spec


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"kind": "command", "command": "t {lrr}"}, ["{lrr}", "valid: ", "lr_mup"]),
        ({"kind": "command"}, ["`command` must be given"]),
        ({"kind": "command", "command": ""}, ["`trial.command`", "at least 1"]),
        ({"kind": "command", "command": "a 'b"}, ["splittable", "quotation"]),
        ({"kind": "function", "function": "os.system"}, ["`trial.function`"]),
        ({"kind": "function", "function": "a:b", "command": "x"}, ["`command`", "only then"]),
        ({"timeout": 3}, ["`timeout`", "function and command only"]),
        ({"kind": "shell"}, ["`trial.kind`", "'builtin', 'function' or 'command'"]),
        ({"kind": "command", "command": ["a", "b\0"]}, ["NUL"]),
        ({"retry": 3}, ["`trial.retry: 3`", "`trial.retries`"]),
    ],
)
def test_a_mistake_is_one_line(changes: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(SpecError) as caught:
        study(trial=changes)
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize("name", ["-rf", "a b", "$(x)", "a;b", "a\nb", "'"])
def test_a_variant_is_a_word_that_cannot_be_taken_for_a_flag(name: str) -> None:
    with pytest.raises(SpecError, match="variant"):
        study(variants=[name], trial={"kind": "command", "command": "t"})


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20))
def test_a_value_never_becomes_more_than_one_word(text: str) -> None:
    assert fill(["t", "--name={variant}", "{variant}"], {"variant": text}) == ["t", f"--name={text}", text]


@pytest.mark.parametrize(
    "text", ["a b", "$(touch made)", "`touch made`", "'; touch made; '", "*", "\\", "a\nb"]
)
@pytest.mark.parametrize(
    "words",
    [
        ["env", "X=1", "bash", "-ec", "printf %s {folder}"],
        ["bash", "-cx", '"{folder}"'],
        ["bash", "-c", "--", "{folder}"],
        ["/bin/sh", "-e", "-c", "{folder}"],
        ["python3", "-c", "print('{folder}')"],
        ["ssh", "host", "train", "--out={folder}"],
        ["env", "-S", "bash -c {folder}"],
    ],
)
def test_a_value_that_could_be_code_gets_into_no_script(words: list[str], text: str) -> None:
    with pytest.raises(SpecError, match="HPTRANSFER_FOLDER"):
        fill(words, {"folder": text})
    assert fill(words, {"folder": "/a/b-1.5_c"}) == [word.replace("{folder}", "/a/b-1.5_c") for word in words]


def test_a_script_s_arguments_may_be_anything() -> None:
    words = ["bash", "-c", 'train "$1" {lr}', "_", "{folder}"]
    assert fill(words, {"folder": "a $(b)", "lr": 0.5}) == ["bash", "-c", 'train "$1" 0.5', "_", "a $(b)"]


@pytest.mark.parametrize(
    "word", ["{lr:.3f}", "{lr!r}", "{ lr }", "{lr.real}", "{lr[0]}", "{rate}", "{ rate }"]
)
def test_a_placeholder_that_is_none_is_refused(word: str) -> None:
    with pytest.raises(SpecError, match="placeholders must be known"):
        fill(["train", word], {"lr": 0.5})


def test_other_braces_stay() -> None:
    assert fill(["awk", "{{print}}", '{"a": {lr}}', "{}"], {"lr": 0.5}) == [
        "awk",
        "{print}",
        '{"a": 0.5}',
        "{}",
    ]


@pytest.mark.parametrize(
    "trial", [{"environment": {"A=B": "c"}}, {"environment": {"": "d"}}, {"timeout": math.inf}]
)
def test_a_call_that_could_not_be_made_is_refused(trial: dict[str, object]) -> None:
    with pytest.raises(SpecError):
        study(trial={"kind": "command", "command": "train", **trial})


def test_loading_a_spec_calls_nothing(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(
        "name: own\nvariants: [a]\nwidths: [32]\nlr: {low: 0.1, high: 1}\n"
        f"trial: {{kind: command, command: 'touch {tmp_path / 'made'} {{lr}}'}}\n"
    )
    assert load_study(path).trial.kind == "command"
    path.write_text(path.read_text().replace("kind: command, command", "kind: function, function"))
    with pytest.raises(SpecError, match=r"trial\.function"):
        load_study(path)
    assert not (tmp_path / "made").exists()
