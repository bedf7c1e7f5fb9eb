from hptransfer.runs.config import ModelConfig, RunSpec
from hptransfer.runs.flops import forward_flops, run_flops


def test_flops_golden() -> None:
    model = ModelConfig(width=128)
    per_token = 2 * (2 * 12 * 128**2 + 512 * 128) + 2 * 2 * 2 * 64 * 128
    assert forward_flops(model) == per_token
    run = RunSpec(model=model, base_width=32, lr=1.0)
    assert run_flops(run) == 3 * per_token * 300 * 8 * 64


def test_a_tied_readout_is_a_product_all_the_same() -> None:
    tied = ModelConfig(width=128, tied=True)
    assert forward_flops(tied) == forward_flops(ModelConfig(width=128))
