"""A small text, a private cache, one thread: what the training tests share."""

from collections.abc import Iterator

import pytest

torch = pytest.importorskip("torch")

from hptransfer.runs.config import DataConfig, ModelConfig, RunSpec, TrainConfig  # noqa: E402


@pytest.fixture(scope="session")
def text_files(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Glob of twenty small files of words that a model can learn something of."""
    folder = tmp_path_factory.mktemp("text")
    for number in range(20):
        lines = [f"def f{i}(x): return x + {(i * number) % 7}" for i in range(60)]
        (folder / f"{number:02}.txt").write_text("\n".join(lines))
    return str(folder / "*.txt")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HPTRANSFER_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def tiny(text_files: str) -> RunSpec:
    """A run that trains in a moment, in float64."""
    return RunSpec(
        model=ModelConfig(width=16, depth=2, heads=2, context=12, vocab=280),
        data=DataConfig(source="text", files=text_files, validation_fraction=0.3, validation_tokens=96),
        train=TrainConfig(steps=20, batch_size=3, dtype="float64"),
        base_width=8,
        lr=0.01,
    )
