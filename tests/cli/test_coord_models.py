import pytest
from typer.testing import CliRunner

from hptransfer.cli import app

pytest.importorskip("torch")


QUICK = ["--widths", "32,64,128", "--steps", "2", "--seeds", "2", "--depth", "1", "--context", "8"]


def run(*arguments: str):
    return CliRunner().invoke(app, ["coord-check", *arguments])


def test_its_decoder_is_the_reference_decoder() -> None:
    import torch

    from hptransfer.cli.coord_models import VOCAB, decoder, text_bytes
    from hptransfer.cli.model_sizes import ModelSizes
    from hptransfer.lm.model import Decoder

    model, tokens = decoder(32, ModelSizes(depth=2, heads=4, context=8, vocab=VOCAB)), text_bytes(3, 8)
    expected = Decoder.forward(model, tokens, torch.tensor(8**-0.5))
    torch.testing.assert_close(model(tokens), expected)


def test_hugging_face_families_can_be_checked() -> None:
    pytest.importorskip("transformers")
    result = run("sp", *QUICK, "--model", "gpt2")
    assert result.exit_code == 1, result.output
    assert "transformer.h.0.attn attention logits" in result.output
