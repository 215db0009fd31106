"""Keywords of other libraries' trainers, estimators and exporters, and what to write in place of each."""

import re
from collections.abc import Mapping
from typing import Any

from tinygrad_lite.foundation.pytorch_names import SETTINGS

_DATA = "tg.fit(model, loss, (inputs, targets))"
_VALIDATION = "validation=(inputs, targets)"
_ALL_BATCHES = "nothing, since an epoch has all batches of the data, and the validation is measured after each"
_BAR = "nothing, since a bar is shown on a terminal and in a notebook alone"
_SHUFFLED = "nothing, since rows are shuffled; tg.data.DataLoader(data, batch_size, shuffle=False) keeps their order"
_NO_DEVICES = "nothing, since there are no devices"
_FIT = {
    **dict.fromkeys(("x", "y", "X"), _DATA),
    "train_data|training_data|train_(data)?(set|loader)|train_dataloaders?|train_dl|dataloader": _DATA,
    "validation_data|val(id)?(_data|_loader|_dl|set)?|val_dataloaders?|eval_(set|dataset)|X_val|[xy]_val": _VALIDATION,
    "validation_split|validation_fraction|train_split": f"{_VALIDATION}, of rows that you set aside, as by "
    "sklearn.model_selection.train_test_split",
    "validation_batch_size|eval_batch_size": "validation=tg.data.DataLoader(data, batch_size)",
    "(validation_)?(steps|freq)|(steps|batches)_per_epoch|check_val_every_n_epoch|limit_\\w+_batches": _ALL_BATCHES,
    "verbose|progress(_bar)?|enable_progress_bar|show_progress": _BAR,
    "shuffle": _SHUFFLED,
    "drop_last": "tg.data.DataLoader(data, batch_size, shuffle=True, drop_last=VALUE) for the data",
    "class_weights?|pos_weight": "a loss with weights, such as tg.nn.CrossEntropyLoss(weight)",
    "sample_weights?": "(inputs, (targets, weights)) for the data, and a loss of both",
    "early_stopping(_rounds)?|n_iter_no_change|tol(erance)?": "patience=, a number of epochs without a smaller loss",
    "lr|learning_rate(_init)?|base_lr": "optimizer=tg.optim.Adam(model.parameters(), lr=VALUE)",
    "weight_decay|wd|l2": "optimizer=tg.optim.AdamW(model.parameters(), weight_decay=VALUE)",
    "betas|eps|momentum": "optimizer=tg.optim.Adam(model.parameters(), ...), or another with its settings",
    "(max|n|num|nb|num_train)_?(epochs?|iter)|initial_epoch|n_iter": "epochs=, the number of epochs in all",
    "criterion|loss_(fn|func|function)|objective": "the loss as the second argument",
    "seed|random_(state|seed)": "rng=VALUE",
    "opt|optim|optimiser|optimizers": "optimizer=, made from model.parameters()",
    "schedule|lr_schedule(r)?": "scheduler=, a schedule of tg.optim.lr_scheduler",
    "gradient_clip(_val|ping)?|max_(grad_)?norm|grad_clip|clip(norm|_grad)?|gradient_clip_val": "clip_norm=VALUE",
    "accumulate_grad_batches|grad(ient)?_accum(ulation)?(_steps)?|accumulation_steps": "accumulate=VALUE",
    "resume(_from_checkpoint)?|(ckpt|checkpoint|save)_(path|dir)|output_dir": "checkpoint=, the path of a file",
    "monitor": "nothing, since the loss of the validation is what counts; a callback that returns True ends a training",
    "loggers?|log_every_n_steps|log_dir": "callbacks=[log], a function of the Training, whose history has the figures",
    "jit|jit_compile": "compile=VALUE",
    "bs|batch": "batch_size=VALUE",
    "accelerator|devices|gpus": _NO_DEVICES,
    "workers|use_multiprocessing|max_queue_size": "nothing, since a batch is made when it is asked for",
    "precision|dtype|fp16|amp": "model.to(np.float32), say, and data of that dtype",
}
_ESTIMATOR = {
    "hidden_layer_sizes|hidden(_size|_dim|_units|s)?|layers|units": "module__hidden=VALUE",
    "activation|dropout": "module=, a function of (n_features_in, n_outputs) that builds a module with it",
    "solver|optim|optimiser": "optimizer='Adam' or 'SGD', say",
    "alpha|weight_decay|l2": "optimizer='AdamW', optimizer__weight_decay=VALUE",
    "momentum|nesterovs_momentum": "optimizer='SGD', optimizer__momentum=0.9, say",
    "max_iter|(max|n|num)_epochs|n_iter": "epochs=VALUE",
    "learning_rate(_init)?": "lr=VALUE",
    "n_iter_no_change|early_stopping_rounds|tol(erance)?": "early_stopping=True, patience=10, say",
    "criterion|loss_fn|loss_func": "loss=VALUE",
    "seed|rng": "random_state=VALUE",
    "train_split|validation_split|validation_data|eval_set": "early_stopping=True, validation_fraction=0.1, say",
    "shuffle": "nothing, since rows are shuffled",
    "callbacks|scheduler|metrics|checkpoint|clip_norm|accumulate": "tg.fit of the module itself, which has it",
    "device|accelerator": _NO_DEVICES,
    "model|estimator|build_fn|net": "module=, a module, a class or a function that builds one",
    "dtype|precision": "X.astype(np.float32), whose dtype the module gets",
}
_AS_IT_IS = "nothing, since there is one way to write a file"
_EXPORT = {
    "opset(_version|_imports)?|target_opset": _AS_IT_IS,
    "dynamo|do_constant_folding|export_params|verbose|training|keep_initializers_as_inputs|optimize": _AS_IT_IS,
    "dynamic_(axes|shapes)": "batch_axis=0 for the axis of the rows, the one whose length may vary",
    "args|example_inputs?|example_args|input_shapes?|initial_types": "the examples behind the function, as they are",
    "model|func|function": "the function or the model as the first argument",
    "filename|file|f|output(_path)?|save_path": "path=VALUE",
}
_IMPORT = {
    "providers|sess_options": "nothing, since NumPy computes the operators",
    "dynamic_axes|input_shapes?": "nothing, since a module takes arrays of any size that its operators take",
    "path|filename|file|f|onnx_model": "tg.from_onnx(VALUE)",
}
OTHER_SETTINGS: Mapping[str, Mapping[str, str]] = {
    "fit": _FIT,
    **dict.fromkeys(("Classifier", "Regressor", "Transformer"), _ESTIMATOR),
    "export_onnx": _EXPORT,
    "from_onnx": _IMPORT,
}
"""By the name of our function, patterns of keywords that it does not have; VALUE stands for the value of a keyword."""


def instead_of_setting(function: str, name: str, value: Any) -> str:
    """What to write in place of a keyword that one of our functions does not have; empty if it is in no table."""
    others = OTHER_SETTINGS.get(function, {})
    known = (instead for pattern, instead in others.items() if re.fullmatch(pattern, name))
    return next(known, "").replace("VALUE", short(value)) or SETTINGS.get(name, "").format(value)


def short(value: Any) -> str:
    """A setting's value as one writes it, or … for an array, or anything else that is long."""
    text = repr(value) if isinstance(value, (bool, int, float, str, tuple, type(None))) else "…"
    return text if len(text) <= 40 else "…"
