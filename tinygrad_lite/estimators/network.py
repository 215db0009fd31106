"""`Network`: what the estimators have in common: a module, its training, and its outputs for rows."""

from typing import Any, ClassVar, Self

import numpy as np
from scipy.sparse import issparse
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from tinygrad_lite.data import DataLoader
from tinygrad_lite.engine.grad_mode import enable_grad, no_grad
from tinygrad_lite.errors import InputError, ShapeError, UsageError
from tinygrad_lite.estimators.building import built, dtype_of, optimizer_class, optimizer_of
from tinygrad_lite.estimators.settings import Settings
from tinygrad_lite.estimators.weighting import mean_of
from tinygrad_lite.foundation.foreign import times_in
from tinygrad_lite.foundation.progress import without_progress
from tinygrad_lite.foundation.settings import fraction, positive
from tinygrad_lite.nn import Module
from tinygrad_lite.nn.module import in_mode
from tinygrad_lite.training import History, Training, fit
from tinygrad_lite.training.batches import plain
from tinygrad_lite.training.faults import FaultFinder
from tinygrad_lite.training.training_run import compiled_step

AT_ONCE = 1000
"""How many rows a module takes at once for its outputs, unless its batches are larger."""


class Network(Settings):
    """An estimator whose model is a module."""

    _default_module: ClassVar[type[Module]]
    module_: Module
    optimizer_: Any
    history_: History
    _rng: np.random.Generator
    _partial: Any  # how `partial_fit` trains, while it goes on

    def __init__(
        self,
        module: Any = None,
        *,
        loss: Any = None,
        optimizer: Any = "Adam",
        lr: float = 0.005,
        epochs: int = 200,
        batch_size: int = 200,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        warm_start: bool = False,
        random_state: Any = None,
        compile: bool | str = False,
        verify: bool = False,
        verbose: bool = False,
        **module__settings: Any,
    ) -> None:
        self.module = module
        self.loss = loss
        self.optimizer = optimizer
        self.lr = lr
        self.epochs = epochs
        self.batch_size = batch_size
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.warm_start = warm_start
        self.random_state = random_state
        self.compile = compile
        self.verify = verify
        self.verbose = verbose
        self._nest(module__settings)

    def __getstate__(self) -> dict[str, Any]:
        """All but the steps of `partial_fit`, which are made anew."""
        return {name: x for name, x in super().__getstate__().items() if name != "_partial"}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _function(self, part: str, value: Any) -> Any:
        if part == "module":
            return type(self)._default_module if value is None else value
        return optimizer_class(value)

    def _targets(self, shape: tuple[int, ...], y: Any, dtype: Any) -> tuple[Any, Any]:
        """The loss of outputs of this shape, and the targets in its form."""
        raise NotImplementedError

    def _check_outputs(self, outputs: Any) -> None:
        """Refuse outputs of a few rows that are not what the loss expects."""

    def _strata(self, y: Any) -> Any:
        """The kinds of rows that validation and training have in the same shares, or None."""
        return None

    def _rows(self, X: Any, *y: Any, reset: bool = False, **checks: Any) -> Any:
        """X, or X and y, checked: finite numbers, and the columns that there were."""
        for name, numbers in zip("Xy", (X, *y) if checks.get("y_numeric") else (X,)):
            _check_times(name, numbers)
        types = (np.float64, np.float32)
        try:
            return validate_data(self, X, *y, accept_sparse="csr", dtype=types, reset=reset, **checks)
        except ValueError as error:
            _name_text(X, error)
            raise

    def _is_new(self) -> bool:
        """Whether `fit` makes a new module."""
        return not (self.warm_start and hasattr(self, "module_"))

    def _fit(self, X: Any, y: Any, weights: Any, outputs: int) -> Self:
        """Train on rows that were checked."""
        is_new, rng = self._is_new(), self._generator()
        module = self._built(X, outputs, rng) if is_new else self.module_
        loss, data = self._loss_and_data(module, X, y, weights)
        optimizer = self._optimizer_of(module)
        share = fraction("validation_fraction", positive("validation_fraction", self.validation_fraction))
        validation = None
        if self.early_stopping:
            training, held_out = _split(X.shape[0], share, int(rng.integers(2**31)), self._strata(y))
            data, validation = _taken(data, training), _taken(data, held_out)
        with without_progress():
            history = fit(
                module,
                loss,
                data,
                epochs=self.epochs,
                batch_size=self.batch_size,
                optimizer=optimizer,
                validation=validation,
                patience=self.patience if self.early_stopping else None,
                compile=self.compile,
                verify=self.verify,
                callbacks=[_print] if self.verbose else [],
                rng=rng,
            )
        self._keep(module, optimizer, rng, history.records, is_new)
        if history.ending == "interrupt":
            raise KeyboardInterrupt
        return self

    def _partial_fit(self, X: Any, y: Any, weights: Any, outputs: int) -> Self:
        """Train for one epoch on rows that were checked."""
        is_new = not hasattr(self, "module_")
        rng = self._generator() if is_new else self._rng
        module = self._built(X, outputs, rng) if is_new else self.module_
        loss, data = self._loss_and_data(module, X, y, weights)
        optimizer = self._optimizer_of(module) if is_new else self.optimizer_
        loader = DataLoader(data, self.batch_size, shuffle=True, rng=rng)
        training, step, backend = self.__dict__.get("_partial") or (None, None, None)
        if training is None or backend != self.compile or training.loss != loss:
            training = Training(module, loss, optimizer, loader)
            step = compiled_step(training, self.compile) if self.compile else None
        training.loader = loader
        faults = FaultFinder(training)
        faults.begin_epoch()
        with enable_grad():
            losses, rows = zip(*training.epoch(step or training.step))
        value = float(np.average([float(value) for value in losses], weights=rows))
        faults.end_epoch(value)
        self._keep(module, optimizer, rng, [{"loss": value, "lr": optimizer.param_groups[0]["lr"]}], is_new)
        self._partial = training, step, self.compile
        return self

    def _generator(self) -> np.random.Generator:
        return np.random.default_rng(check_random_state(self.random_state).randint(2**31 - 1))

    def _built(self, X: Any, outputs: int, rng: np.random.Generator) -> Module:
        function = self._function("module", self.module)
        return built(function, self._settings_of("module"), X.shape[1], outputs, X.dtype, rng)

    def _optimizer_of(self, module: Module) -> Any:
        return optimizer_of(module, self.optimizer, self.lr, self._settings_of("optimizer"))

    def _loss_and_data(self, module: Module, X: Any, y: Any, weights: Any) -> tuple[Any, tuple[Any, Any]]:
        """The loss, and the inputs and targets that it is the loss of."""
        dtype, few = dtype_of(module), X[:2]
        shape = outputs_of(in_mode(module, False), few.astype(dtype)).shape
        if shape[:1] != few.shape[:1]:
            raise ShapeError(f"the module must make a row for each row of X: for {few.shape[0]} rows it made {shape}")
        loss, targets = self._targets(shape, y, dtype)
        self._check_outputs(outputs_of(module, X[:20].astype(dtype)))
        if weights is not None:
            targets = targets, (weights / weights.mean()).astype(dtype)
        return mean_of(loss, weights is not None), (X.astype(dtype, copy=False), targets)

    def _keep(
        self, module: Module, optimizer: Any, rng: np.random.Generator, records: list[dict[str, Any]], is_new: bool
    ) -> None:
        """Keep the results of a training."""
        if is_new:
            self.history_ = History()
        self.module_, self.optimizer_, self._rng, self._partial = in_mode(module, False), optimizer, rng, None
        for record in records:
            self.history_.add({**record, "epoch": len(self.history_) + 1})
        self.loss_curve_ = self.history_["loss"]
        self.n_iter_ = len(self.loss_curve_)

    def _outputs(self, X: Any) -> Any:
        """What the module makes of rows, as an array."""
        check_is_fitted(self)
        return self._applied(self.module_, self._rows(X))

    def _applied(self, function: Any, X: Any) -> Any:
        """What the module, or a part of it, makes of rows that were checked."""
        X, at_once = X.astype(dtype_of(self.module_), copy=False), max(self.batch_size, AT_ONCE)
        return np.concatenate(
            [outputs_of(function, X[start : start + at_once]) for start in range(0, X.shape[0], at_once)]
        )


def outputs_of(function: Any, X: Any) -> Any:
    """What a module, or a part of it, makes of rows, as an array."""
    with no_grad():
        outputs = plain(function(X.toarray() if hasattr(X, "toarray") else X))
    if not isinstance(outputs, np.ndarray):
        raise UsageError(f"the module must return a tensor with a row for each row of X; it returned {outputs!r:.80}")
    return outputs


def weights_of(X: Any, sample_weight: Any) -> Any:
    """The weights of rows, or None.

    Raises:
        InputError: if one is negative, or all are 0.
    """
    if sample_weight is None:
        return None
    return check_weights("sample_weight", _check_sample_weight(sample_weight, X))


def check_weights(name: str, weights: Any) -> Any:
    """The weights of rows, which are not negative, and not all 0."""
    if not (weights >= 0).all() or not weights.any():
        raise InputError(
            f"{name} must not be negative, nor 0 for all samples; it ranges from {weights.min()} to {weights.max()}: "
            f"zero weights leave no sample to learn from"
        )
    return weights


def _check_times(name: str, data: Any) -> None:
    """Refuse dates and durations, which NumPy turns into numbers of microseconds: no network learns from those."""
    for column, dtype in times_in(data):
        where = f", in the column {column!r}" if column != "" else ""
        raise InputError(
            f"{name} has times{where}, of dtype {dtype}: turn them into numbers, such as days or the hour of the day"
        )


def _name_text(X: Any, error: ValueError) -> None:
    """Of text that is no number, say in which columns it is, and what to do."""
    if not str(error).startswith("could not convert string to float") or _is_numeric(X):  # as it may be that of y
        return
    columns = [column for column in getattr(X, "columns", ()) if not _is_numeric(X[column])]
    where = f", in the column{'s' * (len(columns) > 1)} {', '.join(map(repr, columns))}" if columns else ""
    raise InputError(
        f"X has text{where}: {error}. Encode it in front of the estimator, such as by "
        "sklearn.preprocessing.OneHotEncoder in a ColumnTransformer"
    ) from error


def _is_numeric(x: Any) -> bool:
    if issparse(x):
        return True
    try:
        np.asarray(x, np.float64)
    except ValueError:
        return False
    return True


def _split(rows: int, share: float, seed: int, strata: Any) -> Any:
    """The numbers of the rows for training, and of those for validation."""
    try:
        return train_test_split(np.arange(rows), test_size=share, random_state=seed, stratify=strata)
    except ValueError as error:
        raise InputError(
            f"early_stopping=True cannot set validation_fraction={share} of {rows} rows aside: {error}"
        ) from error


def _taken(data: tuple[Any, Any], rows: Any) -> tuple[Any, Any]:
    """Some rows of inputs and targets."""
    X, targets = data
    return X[rows], tuple(x[rows] for x in targets) if isinstance(targets, tuple) else targets[rows]


def _print(training: Training) -> None:
    record = training.history.records[-1]
    print(", ".join(f"{name} {x:.6g}" for name, x in record.items() if name not in ("lr", "seconds")))
