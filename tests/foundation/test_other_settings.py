"""Keywords of other libraries' trainers, estimators and exporters: each is refused with what to write instead."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn
from tinygrad_lite.errors import UsageError
from tinygrad_lite.foundation.other_settings import OTHER_SETTINGS
from tinygrad_lite.foundation.signatures import signature

X = np.ones((8, 2))


def _fit(**settings: Any) -> Any:
    return tg.fit(nn.Linear(2, 1, rng=0), nn.MSELoss(), (X, X[:, :1]), epochs=1, **settings)


CALLS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "fit": (tg.fit, _fit),
    **{
        kind.__name__: (kind.__init__, kind)
        for kind in (tg.estimators.Classifier, tg.estimators.Regressor, tg.estimators.Transformer)
    },
    "export_onnx": (tg.export_onnx, lambda **settings: tg.export_onnx(np.sin, X, **{"path": "no", **settings})),
    "from_onnx": (tg.from_onnx, lambda **settings: tg.from_onnx("no", **settings)),
}
OF_ESTIMATORS = {
    *("hidden_layer_sizes", "activation", "solver", "alpha", "momentum", "max_iter", "max_epochs", "learning_rate"),
    *("learning_rate_init", "n_iter_no_change", "tol", "criterion", "seed", "train_split", "shuffle", "callbacks"),
    *("device", "model", "dtype"),
}
KEYWORDS: dict[str, set[str]] = {
    "fit": {
        *(
            "x",
            "y",
            "X",
            "train_data",
            "train_loader",
            "train_dataloaders",
            "validation_data",
            "val_loader",
            "eval_set",
        ),
        *("valid_loader", "val_dataloaders", "eval_dataset", "validation_split", "validation_batch_size"),
        *("steps_per_epoch", "validation_steps", "validation_freq", "verbose", "enable_progress_bar", "shuffle"),
        *("drop_last", "class_weight", "sample_weight", "early_stopping", "early_stopping_rounds", "lr", "l2"),
        *("learning_rate", "weight_decay", "betas", "max_epochs", "num_epochs", "n_epochs", "num_train_epochs"),
        *("max_iter", "initial_epoch", "criterion", "loss_fn", "seed", "random_state", "opt", "optim", "optimiser"),
        *("lr_scheduler", "gradient_clip_val", "max_norm", "max_grad_norm", "clipnorm", "accumulate_grad_batches"),
        *("gradient_accumulation_steps", "resume_from_checkpoint", "ckpt_path", "monitor", "logger", "jit", "bs"),
        *("accelerator", "workers", "precision", "device", "num_workers"),
    },
    **dict.fromkeys(("Classifier", "Regressor", "Transformer"), OF_ESTIMATORS),
    "export_onnx": {"opset_version", "dynamo", "dynamic_axes", "dynamic_shapes", "args", "model", "output_path"},
    "from_onnx": {"providers", "dynamic_axes", "filename"},
}


@pytest.mark.parametrize("name", CALLS)
def test_a_keyword_of_another_library_is_refused_with_what_to_write(name: str) -> None:
    function, call = CALLS[name]
    for keyword in sorted(KEYWORDS[name] - signature(function).parameters.keys()):
        with pytest.raises(UsageError, match=re.escape(keyword) + ".*: write ."):
            call(**{keyword: 3})
    assert OTHER_SETTINGS.keys() == CALLS.keys() == KEYWORDS.keys()
    for pattern in OTHER_SETTINGS[name]:
        assert any(re.fullmatch(pattern, keyword) for keyword in KEYWORDS[name]), pattern


def test_the_advice_names_all_keywords_and_writes_out_what_is_short() -> None:
    words = "no setting lr=0.1: write optimizer=.* lr=0.1.; and no validation_data=…: write validation=.inputs"
    with pytest.raises(UsageError, match=words):
        _fit(lr=0.1, validation_data=(X, X), patience=3)


def test_arguments_by_position_that_have_names_are_refused() -> None:
    with pytest.raises(UsageError, match=r"takes 3 arguments by position, model, loss, data, .* got 4 by position"):
        tg.fit(nn.Linear(2, 1), nn.MSELoss(), X, X[:, :1], epochs=1)  # type: ignore[misc]


def test_an_argument_that_is_missing_is_asked_for_by_its_name() -> None:
    with pytest.raises(UsageError, match=r"fit needs epochs, by its name: pass epochs="):
        tg.fit(nn.Linear(2, 1), nn.MSELoss(), (X, X[:, :1]))  # type: ignore[call-arg]
    with pytest.raises(UsageError, match=r"export_onnx needs path, by its name: pass path="):
        tg.export_onnx(nn.Linear(2, 1), X, "model.onnx")  # type: ignore[call-arg]
