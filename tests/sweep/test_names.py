import pytest

from hptransfer.sweep.names import SCALES, hp_logarithm, hp_rank, loss_rank, rank


@pytest.mark.parametrize(
    "name",
    ["width", "hidden_size", "dim", "d_model", "n_embd", "config.model.d_model", "Hidden Size", "hiddenDim",
     "params", "num_params", "model_size", "n_layers", "tokens", "d_model (base)"],
)  # fmt: skip
def test_names_of_a_scale(name):
    assert rank(name, SCALES) is not None
    assert hp_rank(name) is loss_rank(name) is None


@pytest.mark.parametrize(
    "name",
    ["lr", "learning_rate", "peak_lr", "eta", "maxLr", "Learning Rate", "config/optim.lr", "log2lr",
     "lr_hidden", "weight_decay",
     "params_lr", "training.learning_rate.value"],
)  # fmt: skip
def test_names_of_a_hyperparameter(name):
    assert hp_rank(name) is not None
    assert rank(name, SCALES) is loss_rank(name) is None


@pytest.mark.parametrize(
    "name",
    ["loss", "val_loss", "val/loss", "eval_loss", "valLoss", "Validation Loss", "summary.val.loss",
     "final loss", "train_loss", "best_val_loss", "val_ce", "val_bpb", "cross_entropy"],
)  # fmt: skip
def test_names_of_a_loss(name):
    assert loss_rank(name) is not None


@pytest.mark.parametrize(
    "name", ["initial_loss", "loss_err", "loss std", "aux_loss", "loss_scale", "lossy", "z_loss"]
)
def test_these_are_no_final_losses(name):
    assert loss_rank(name) is None


@pytest.mark.parametrize(
    "name", ["lr_schedule", "lr decay", "min_lr", "lr_scheduler", "warmup_lr", "final_lr"]
)
def test_these_are_not_what_was_tuned(name):
    assert hp_rank(name) is None


def test_the_usual_name_is_best_and_held_out_losses_come_first():
    assert hp_rank("lr") < hp_rank("learning_rate") < hp_rank("muon_lr") < hp_rank("weight_decay")
    order = ["loss", "val_loss", "best_val_loss", "eval_loss", "test_loss", "final_loss", "nll", "train_loss"]
    assert sorted(order, key=loss_rank) == order


def test_logarithms_by_name():
    kinds = {
        "log2_lr": "log2",
        "log10(lr)": "log10",
        "ln_lr": "ln",
        "lr": "linear",
        "log_learning_rate": "log10",
    }
    assert {name: hp_logarithm(name) for name in kinds} == kinds
