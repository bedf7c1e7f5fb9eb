from __future__ import annotations

import gzip
from importlib import util
from importlib.resources import files
from pathlib import Path

import pytest

import hptransfer as hpt
from hptransfer.errors import SweepError
from hptransfer.study.spec import load_study
from hptransfer.sweep.example import EXAMPLES, example_text

CORPUS = Path(__file__).parents[2] / "benchmarks" / "corpus"


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_a_sweep_of_its_variants(name: str) -> None:
    sweep = hpt.example(name)
    assert tuple(sorted(sweep.variants)) == tuple(sorted(EXAMPLES[name].variants))
    assert len(sweep.scales) >= 4
    assert len(sweep.loss) == len(example_text(name).splitlines()) - 1
    assert sweep.columns.hp == "lr"  # not lr_mup
    assert max(sweep.scales) < EXAMPLES[name].target


@pytest.mark.parametrize("name", [name for name, example in EXAMPLES.items() if example.setup])
def test_an_example_is_what_the_corpus_holds(name: str) -> None:
    spec = util.spec_from_file_location("corpus_examples", CORPUS / "examples.py")
    assert spec is not None
    assert spec.loader is not None
    script = util.module_from_spec(spec)
    spec.loader.exec_module(script)
    packed = files("hptransfer.sweep") / "example_tables" / f"{name}.csv.gz"
    assert gzip.decompress(packed.read_bytes()) == script.content(EXAMPLES[name])


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        SweepError, match=r"an example must be one of widths, decay, tokens, demo, but got 'x'"
    ):
        hpt.example("x")


def test_the_demo_is_a_run_of_the_demonstration_study() -> None:
    spec = load_study(str(files("hptransfer.study") / "demo.yaml"))
    sweep = hpt.example("demo")
    assert {str(name) for name in sweep.variants} == set(spec.variants)
    assert tuple(sweep.scales) == spec.widths
    assert EXAMPLES["demo"].tolerance == spec.tolerance
    assert len(sweep) == len(spec.variants) * len(spec.widths) * spec.lr.count
