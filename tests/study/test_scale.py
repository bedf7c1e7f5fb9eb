from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import fake_trainer
import pytest
from small_study import study

from hptransfer.errors import SpecError, StoreError
from hptransfer.fit_axes import AxesTransferFit
from hptransfer.study.export import combined_sweep
from hptransfer.study.merge import merge
from hptransfer.study.planner import plan
from hptransfer.study.presets import preset
from hptransfer.study.progress_display import table
from hptransfer.study.progress_file import Watcher
from hptransfer.study.run import fit_study, load_result, run_study
from hptransfer.study.scale import Size
from hptransfer.study.serve import Pages
from hptransfer.study.spec import StudySpec, parse_study

SCALE = {"width": [32, 64, 128], "tokens": ["10k", "20k", "41k"]}  # whole steps of 512 tokens, rounded


def scaled(scale: dict[str, Any] | None = None, **changes: Any) -> StudySpec:
    plain = {"widths": [], "train": {}, "scale": scale or SCALE, "variants": ["mup"]}
    return study(**{**plain, **changes})


def test_a_grid_has_every_combination_and_tokens_are_whole_steps() -> None:
    spec = scaled()
    assert spec.sizes == tuple(Size(w, tokens=t) for w in (32, 64, 128) for t in (10240, 19968, 40960))
    assert spec.axes == ("width", "tokens")
    assert spec.base == 32
    run = spec.run("mup", spec.sizes[-1], 0, 0)
    assert (run.model.width, run.tokens, run.steps, run.base_depth) == (128, 40960, 80, None)
    assert str(spec.sizes[-1]) == "width 128, tokens 40,960"


def test_stars_diagonals_and_places_of_their_own() -> None:
    lists = {"width": [32, 64, 128], "batch_size": [4, 8, 16]}
    star = scaled({**lists, "design": "star"}, train={"steps": 5})
    assert {(s.width, s.batch_size) for s in star.sizes} == {(64, 8), (32, 8), (128, 8), (64, 4), (64, 16)}
    more = [{"width": 32, "batch_size": 16}]
    diagonal = scaled({**lists, "design": "diagonal", "points": more}, train={"steps": 5})
    assert [(s.width, s.batch_size) for s in diagonal.sizes] == [(32, 4), (64, 8), (128, 16), (32, 16)]
    alone = [{"width": w, "depth": d, "tokens": "10k"} for w, d in ((32, 2), (64, 2), (32, 4), (64, 4))]
    with pytest.raises(SpecError, match=r"tokens is 10,000 at every place; set train.steps"):
        scaled({"points": alone})
    kept = [{name: value for name, value in place.items() if name != "tokens"} for place in alone]
    spec = scaled({"points": kept}, train={"steps": 5})
    assert spec.axes == ("width", "depth")
    assert spec.run("mup", spec.sizes[2], 0, 0).base_depth == 2


def test_batch_sizes_share_their_tokens() -> None:
    spec = scaled({"width": [32], "tokens": [15_000, 30_000], "batch_size": [3, 4, 8]})
    assert spec.axes == ("tokens", "batch_size")
    assert {spec.run("mup", size, 0, 0).tokens for size in spec.sizes} == {
        15360,
        30720,
    }  # steps of 1536 tokens
    assert spec.run("mup", spec.sizes[0], 0, 0).train.batch_size == 3


def test_tokens_per_parameter_make_an_axis_of_tokens_and_the_law_may_be_over_parameters() -> None:
    spec = scaled({"width": [32, 64], "tokens_per_param": [1, 2], "axes": ["params", "tokens"]})
    assert spec.axes == ("params", "tokens")
    one, two = (spec.run("mup", Size(32, tokens_per_param=ratio), 0, 0) for ratio in (1.0, 2.0))
    assert two.tokens == pytest.approx(2 * one.tokens, rel=0.02)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "both": ({"widths": [32]}, "both are"),
    "neither": ({"scale": None}, "neither is"),
    "no width": ({"scale": {"tokens": [512, 1024], "depth": [2, 4]}}, "`width` must be given"),
    "one axis": ({"scale": {"width": [32, 64, 128, 256]}}, "only width does"),
    "constant": ({"scale": {"width": [32, 64], "tokens": [5120, 10240], "depth": [2]}}, "depth is 2"),
    "an axis left out": ({"scale": {**SCALE, "points": [{"width": 256}]}}, "leaves out tokens"),
    "twice": ({"scale": {**SCALE, "points": [{"width": 32, "tokens": "10k"}]}}, "given twice"),
    "too few": ({"scale": {"width": [32, 64, 128], "tokens": [512, 1024, 2048], "design": "diagonal"}}, "4"),
    "uneven": ({"scale": {"width": [32, 64, 128], "tokens": [512, 1024], "design": "diagonal"}}, "equally"),
    "tokens twice": ({"scale": {**SCALE, "tokens_per_param": [1, 2]}}, "only one of tokens"),
    "not whole": ({"scale": {"width": [32, 64], "tokens": [700, 5000]}}, "nearest is 512"),
    "steps": ({"train": {"steps": 5}}, "`train.steps` must not be given beside `scale.tokens`"),
    "negative": ({"scale": {**SCALE, "width": [-32, 64]}}, "positive"),
    "many": ({"scale": {"width": list(range(4, 804, 4)), "tokens": list(range(512, 99000, 512))}}, "10,000"),
    "target width": ({"targets": [1024]}, "`targets`: a target over several axes must be width="),
    "target axis": ({"targets": [{"width": 1024}]}, "leaves out tokens"),
    "target name": ({"targets": [{"width": 1024, "tokens": 1, "depth": 2}]}, "names 'depth'"),
    "target word": ({"targets": ["wide"]}, "`targets[0]`: a target must be a width"),
    "target alone": ({"scale": None, "widths": [32], "targets": ["width=64"]}, "needs `scale`"),
    "constant law": ({"scale": {**SCALE, "axes": ["width", "depth"]}}, "depth is 2 at every place"),
    "verdict": ({"adaptive": {"goal": "verdict"}}, "not verdict"),
    "tied": (
        {
            "scale": {"width": [32, 64, 128, 256], "tokens": [512, 1024, 2048, 4096], "design": "diagonal"},
            "adaptive": {"goal": "law"},
        },
        "tokens always grows with width",
    ),
    "batch": ({"scale": {**SCALE, "batch": [4, 8]}}, "`scale.batch_size`"),
    "depth": ({"depth": [2, 4]}, "`scale.depth`"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_scale_is_one_line_that_says_what_is_wrong(kind: str) -> None:
    changes, says = WRONG[kind]
    plain = scaled().model_dump(mode="json", exclude_none=True, exclude={"probes"})
    plain = {name: value for name, value in {**plain, **changes}.items() if value is not None}
    with pytest.raises(SpecError) as found:
        parse_study(plain)
    assert says in str(found.value), found.value
    assert "\n" not in str(found.value)


def test_a_study_over_widths_keeps_its_hash_and_its_runs() -> None:
    recorded = {"kalra2026-step": "2958b4134da2e8e6", "lingle2024": "d3d2790f50bf3d17"}
    assert {name: preset(name).spec_hash for name in recorded} == recorded
    assert study().run("sp", 32, 0, 0).run_id == study().run("sp", Size(32), 0, 0).run_id
    assert scaled().spec_hash != scaled({**SCALE, "design": "star"}).spec_hash


def test_a_stack_has_one_shape() -> None:
    spec = scaled({"width": [32, 64], "depth": [1, 2], "batch_size": [4, 8]}, train={"steps": 5})
    stacks = plan(spec, {})
    assert len(stacks) == 8
    for stack in stacks:
        runs = [run.spec for run in stack.runs]
        assert len({(r.model, r.train.batch_size, r.steps) for r in runs}) == 1
        assert len(runs) == spec.lr.count


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("axes")
    scale = {**SCALE, "points": [{"width": 64, "tokens": 82_000}]}
    lr = {"low": "2^-10", "high": "2^-3"}
    spec = scaled(scale, lr=lr, variants=["sp", "mup"], targets=[{"width": 512, "tokens": "200k"}])
    run_study(spec, folder, train=fake_trainer.NAME)
    return folder


def test_a_study_over_axes_is_trained_kept_and_fitted_by_its_axes(folder: Path) -> None:
    result = load_result(folder)
    assert result.spec.targets == ("width=512,tokens=200k",)
    row = result.rows[-1]
    assert [row[name] for name in ("width", "depth", "batch_size", "tokens")] == [128, 2, 8, 40960]
    sizes = [(r["variant"], r["width"], r["tokens"]) for r in result.rows]
    assert sizes == sorted(sizes, key=lambda s: (s[0] == "mup", s[1], s[2]))
    assert result.sweep.axes == ("width", "tokens")
    fit = fit_study(result)
    assert isinstance(fit, AxesTransferFit)
    assert fit.to_dict()["provenance"] == result.provenance
    assert str(result.provenance["spec_hash"]) in fit.to_html()
    optima = [point.hp.value for point in fit.variants["mup"].points]
    assert [math.log2(hp or 1) for hp in optima] == pytest.approx([fake_trainer.OPTIMUM] * 10, abs=0.3)
    slopes = {v.name: v.axes[0].drift.value for v in fit.variants.values()}
    assert slopes["mup"] == pytest.approx(0, abs=0.2)  # each in the coordinates that its user sets
    assert slopes["sp"] == pytest.approx(-1, abs=0.2)
    assert "learning rates of mup are in muP coordinates" in fit.sweep.notes[0]
    assert fit.variants["mup"].predictions[0].at == {"width": 512, "tokens": 200_000}


def test_a_second_start_trains_nothing(folder: Path) -> None:
    before = (folder / "runs.csv").read_bytes()
    again = run_study(load_result(folder).spec, folder, train=fake_trainer.NAME)
    assert (again.trained, again.csv.read_bytes()) == (0, before)


def test_progress_and_pages_name_sizes(folder: Path) -> None:
    seen = Watcher(folder).read()
    shown = table(seen)
    assert [column.header for column in shown.columns] == ["size", "sp", "mup"]
    assert next(iter(shown.columns[0].cells)) == "width 32, tokens 10,240"
    pages = Pages(folder)
    assert pages.state()["sizes"][0] == "width 32, tokens 10,240"
    html = pages.report()
    assert "width 512, tokens 200,000" in html
    assert f"Study {load_result(folder).spec.name}" in html


def test_studies_over_the_same_axes_are_combined_and_merged(folder: Path, tmp_path: Path) -> None:
    assert combined_sweep([folder]).axes == ("width", "tokens")
    added = merge(tmp_path / "all", [folder])
    assert (added.planned, added.spec.scale) == (0, load_result(folder).spec.scale)
    other = tmp_path / "other"
    run_study(study(variants=["mup"], lr={"low": 0.01, "high": 0.02}), other, train=fake_trainer.NAME)
    with pytest.raises(StoreError, match="the same axes"):
        combined_sweep([folder, other])


def test_batch_sizes_of_single_runs_are_in_the_table(tmp_path: Path) -> None:
    spec = scaled(
        {"width": [32, 64], "batch_size": [4, 8]}, train={"steps": 5}, lr={"low": 0.01, "high": 0.02}
    )
    result = run_study(spec, tmp_path, train=fake_trainer.NAME)
    assert {(r["width"], r["batch_size"], r["tokens"]) for r in result.rows} == {
        (w, b, 5 * b * 64) for w in (32, 64) for b in (4, 8)
    }
