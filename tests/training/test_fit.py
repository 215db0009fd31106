"""`fit`: the same as the loop by hand, its endings, and what it says when numbers are not finite."""

import signal
import threading
from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sklearn

import tinygrad_lite as tg
from tests.marks import param
from tinygrad_lite import nn, optim
from tinygrad_lite.data import DataLoader
from tinygrad_lite.errors import (
    AnomalyError,
    EmptyError,
    FileError,
    InputError,
    ShapeError,
    TinygradWarning,
    UsageError,
    VerificationError,
)
from tinygrad_lite.nn import functional as F
from tinygrad_lite.training import Monitor, Training

BACKENDS = [False, "numpy", "native"]
r = np.random.default_rng(0)
X = r.normal(size=(70, 5))
THREE, REAL = (X[:, 0] + X[:, 1] ** 2 > 1) + 1 * (X[:, 2] > 0), X[:, :1] - X[:, 1:2]


def model(outputs: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(5, 16, bias=False, rng=0),  # the gradient of a bias here would be rounding, and Adam enlarges it
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Dropout(0.2, rng=1),
        nn.Linear(16, outputs, rng=2),
    )


def states_equal(a: nn.Module, b: nn.Module) -> bool:
    one, other = a.state_dict(), b.state_dict()
    return all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("compile", BACKENDS)
def test_a_training_is_the_loop_by_hand(compile: Any) -> None:
    one, other = model(), model()
    adam = optim.AdamW(one.parameters(), lr=0.01)
    history = tg.fit(
        one,
        F.cross_entropy,
        (X, THREE),
        epochs=3,
        batch_size=16,
        optimizer=adam,
        scheduler=optim.lr_scheduler.ExponentialLR(adam, 0.5),
        clip_norm=0.5,
        compile=compile,
        rng=7,
    )
    optimizer = optim.AdamW(other.parameters(), lr=0.01)
    schedule = optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    losses, rng = [], np.random.default_rng(7)
    for _ in range(3):
        total, order = 0.0, rng.permutation(len(X))
        for start in range(0, len(X), 16):
            inputs, targets = X[order[start : start + 16]], THREE[order[start : start + 16]]
            optimizer.zero_grad()
            loss = F.cross_entropy(other(inputs), targets)
            loss.backward()
            nn.utils.clip_grad_norm_(other.parameters(), 0.5)
            optimizer.step()
            total += loss.item() * len(targets)
        losses.append(total / len(X))
        schedule.step()
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-12)
    assert history["lr"] == [0.01, 0.005, 0.0025]
    for name, array in other.state_dict().items():
        np.testing.assert_allclose(one.state_dict()[name], array, rtol=1e-9, atol=1e-12)


@pytest.mark.long
@pytest.mark.parametrize(
    ("optimizer", "compile"), [*((optim.Adam, compile) for compile in BACKENDS), (optim.LBFGS, False)]
)
def test_a_training_inside_no_grad_is_one_outside(optimizer: Any, compile: Any) -> None:
    one, other = nn.Linear(5, 3, rng=0), nn.Linear(5, 3, rng=0)

    def train(module: nn.Module) -> Any:
        settings = {"optimizer": optimizer(module.parameters()), "compile": compile, "verify": False, "rng": 0}
        return tg.fit(module, F.cross_entropy, (X, THREE), epochs=2, **settings)["loss"]

    losses = train(one)
    with tg.no_grad():
        assert train(other) == losses
    assert states_equal(one, other)


def test_several_batches_make_one_step() -> None:
    one, other = nn.Linear(5, 1, rng=0), nn.Linear(5, 1, rng=0)
    for module, settings in ((one, {"batch_size": 35}), (other, {"batch_size": 7, "accumulate": 5})):
        sgd = optim.SGD(module.parameters(), lr=0.1)
        tg.fit(
            module, F.mse_loss, DataLoader((X, REAL), settings.pop("batch_size")), epochs=4, optimizer=sgd, **settings
        )
    np.testing.assert_allclose(one.weight.numpy(), other.weight.numpy(), rtol=1e-12)


@pytest.mark.parametrize("form", ["dict", "tuple", "samples"])
def test_inputs_in_containers_and_datasets_of_samples(form: str) -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            self.a, self.b = nn.Linear(2, 1, rng=0), nn.Linear(3, 1, rng=1)

        def forward(self, first: Any, second: Any) -> Any:
            return self.a(first) + self.b(second)

    first, second = X[:, :2], X[:, 2:]
    data: Any = {
        "dict": ({"second": second, "first": first}, REAL),
        "tuple": ((first, second), REAL),
        "samples": [((first[k], second[k]), REAL[k]) for k in range(70)],
    }[form]
    history = tg.fit(Sum(), F.mse_loss, data, epochs=30, optimizer=None, rng=0)
    assert history["loss"][-1] < history["loss"][0]


@pytest.mark.parametrize("held_out", ["arrays", "loader", "samples"])
def test_validation_takes_what_the_data_may_be(held_out: str) -> None:
    validation: Any = {
        "arrays": (X[:20], THREE[:20]),
        "loader": DataLoader((X[:20], THREE[:20]), batch_size=7),
        "samples": [*zip(X[:20], THREE[:20])],
    }[held_out]
    for data in ((X[20:], THREE[20:]), DataLoader((X[20:], THREE[20:]), batch_size=8)):
        one = model()
        history = tg.fit(one, F.cross_entropy, data, validation=validation, epochs=2)
        expected = F.cross_entropy(one.eval()(X[:20]), THREE[:20]).item()
        np.testing.assert_allclose(history["validation_loss"][-1], expected)


def test_patience_brings_the_best_weights_back() -> None:
    one = model()
    held_out = X[:20] + 0.1, THREE[:20]
    states = []
    history = tg.fit(
        one,
        F.cross_entropy,
        (X[20:], THREE[20:]),
        validation=held_out,
        epochs=500,
        patience=5,
        optimizer=optim.Adam(one.parameters(), lr=0.05),
        callbacks=[lambda training: states.append(training.model.state_dict())],
        rng=0,
    )
    assert history.ending == "patience"
    assert len(history) == history.best_epoch + 5
    assert min(history["validation_loss"]) == history["validation_loss"][history.best_epoch - 1]
    for name, array in states[history.best_epoch - 1].items():
        np.testing.assert_array_equal(one.state_dict()[name], array)
    one.eval()
    assert F.cross_entropy(one(held_out[0]), held_out[1]).item() == min(history["validation_loss"])


def test_the_other_endings() -> None:
    def stop(training: Training) -> bool:
        return len(training.history) == 2

    def stop_as_numpy_compares(training: Training) -> Any:
        return np.float64(len(training.history)) == 2

    def interrupt(training: Training) -> None:
        if stop(training):
            raise KeyboardInterrupt

    one = nn.Linear(5, 1, rng=0)
    endings = [
        ([], "epochs"),
        ([stop], "callback"),
        ([stop_as_numpy_compares], "callback"),
        ([lambda training: training], "epochs"),
        ([interrupt], "interrupt"),
    ]
    for callbacks, ending in endings:
        history = tg.fit(one, F.mse_loss, (X, REAL), epochs=3, callbacks=callbacks, validation=(X, REAL))
        assert history.ending == ending
        assert len(history) == (3 if ending == "epochs" else 2)
    assert one.training


@pytest.mark.parametrize("compile", BACKENDS)
def test_an_interrupt_within_an_epoch_keeps_the_history_and_the_best_weights(compile: Any) -> None:
    one, calls = model(), []

    def loss(outputs: Any, targets: Any) -> Any:
        calls.append(None)
        return F.cross_entropy(outputs, targets)

    class Rows(list[Any]):
        def __getitem__(self, k: Any) -> Any:
            if len(calls) and len(read) == 170:
                raise KeyboardInterrupt
            read.append(k)
            return list.__getitem__(self, k)

    read: list[Any] = []
    rows = Rows((x, t) for x, t in zip(X, THREE))
    history = tg.fit(one, loss, rows, validation=(X, THREE), epochs=9, compile=compile, verify=False, rng=0)
    assert history.ending == "interrupt"
    assert len(history) == 2
    one.eval()
    np.testing.assert_allclose(F.cross_entropy(one(X), THREE).item(), min(history["validation_loss"]), rtol=1e-12)


def by_hand(epochs: int) -> list[list[Any]]:
    """The parameters before and after each step of training the model."""
    one, data = model(), DataLoader((X[:40], THREE[:40]), batch_size=10, shuffle=True, rng=0)
    optimizer = optim.SGD(one.parameters(), lr=0.1)
    steps = [[w.numpy() for w in one.parameters()]]
    for _ in range(epochs):
        for inputs, targets in data:
            optimizer.zero_grad()
            F.cross_entropy(one(inputs), targets).backward()
            optimizer.step()
            steps.append([w.numpy() for w in one.parameters()])
    return steps


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_ends_the_training_between_two_steps_and_twice_at_once(
    times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pressed whenever a tensor has got a new array, so that some parameters have changed, and others not yet."""
    steps, replace = by_hand(9), tg.Tensor.replace
    whole = []
    for at in range(1, 40, 3):
        calls: list[None] = []

        def pressed(x: tg.Tensor, array: Any, calls: list[None] = calls, at: int = at) -> None:
            replace(x, array)
            calls.append(None)
            for _ in range(times if len(calls) == at else 0):
                signal.raise_signal(signal.SIGINT)

        one = model()
        with monkeypatch.context() as patch:
            patch.setattr(tg.Tensor, "replace", pressed)
            history = tg.fit(
                one,
                F.cross_entropy,
                (X[:40], THREE[:40]),
                batch_size=10,
                epochs=9,
                optimizer=optim.SGD(one.parameters(), lr=0.1),
                rng=0,
                verify=False,
            )
        assert history.ending == "interrupt"
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        weights = [w.numpy() for w in one.parameters()]
        places = [k for k, step in enumerate(steps) if all(map(np.array_equal, step, weights))]
        assert not places or places[0] // 4 == len(history)
        whole.append(bool(places))
    assert all(whole) if times == 1 else not all(whole)


@pytest.mark.parametrize("y", [np.ones(2), None, "0.5", [0.5], 1j, np.complex128(1j)])
def test_a_metric_that_is_no_number_is_named(y: Any) -> None:
    with pytest.raises(UsageError, match="the metric 'share' must return a number, got"):
        tg.fit(
            nn.Linear(5, 1, rng=0),
            F.mse_loss,
            (X, REAL),
            epochs=1,
            validation=(X, REAL),
            metrics={"share": lambda *_: y},
        )


def test_the_verification_and_the_training_have_gradients_whatever_is_around_them() -> None:
    with tg.no_grad():
        assert len(tg.fit(nn.Linear(5, 1, rng=0), F.mse_loss, (X, REAL), epochs=2)) == 2
        assert tg.training.verify_training(nn.Linear(5, 1, rng=0), F.mse_loss, (X, REAL)).ok


def test_ctrl_c_after_the_last_step_still_counts() -> None:
    def press(training: Training) -> None:
        if len(training.history) == 3:
            signal.raise_signal(signal.SIGINT)

    history = tg.fit(nn.Linear(5, 1, rng=0), F.mse_loss, (X, REAL), epochs=3, callbacks=[press], verify=False)
    assert (history.ending, len(history)) == ("interrupt", 3)


def test_a_handler_that_a_callback_sets_stays() -> None:
    def ignore(training: Training) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    try:
        tg.fit(nn.Linear(5, 1, rng=0), F.mse_loss, (X, REAL), epochs=1, callbacks=[ignore], verify=False)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_a_handler_of_ones_own_and_other_threads_keep_theirs() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))

    def train() -> None:
        def press(training: Training) -> None:
            if threading.current_thread() is threading.main_thread():
                signal.raise_signal(signal.SIGINT)

        endings.append(
            tg.fit(nn.Linear(5, 1, rng=0), F.mse_loss, (X, REAL), epochs=1, callbacks=[press], verify=False).ending
        )

    endings: list[str] = []
    try:
        train()
        thread = threading.Thread(target=train)
        thread.start()
        thread.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert endings == ["epochs", "epochs"]
    assert heard == [signal.SIGINT]


@pytest.mark.parametrize("name", ["CyclicLR", "OneCycleLR", "StepLR", "ReduceLROnPlateau"])
def test_schedules_count_epochs_or_steps(name: str) -> None:
    settings = {
        "CyclicLR": {"base_lr": 0.0, "max_lr": 1e-3, "step_size_up": 9},
        "OneCycleLR": {"max_lr": 1e-3, "total_steps": 100},
        "StepLR": {"step_size": 1},
        "ReduceLROnPlateau": {},
    }[name]
    one = nn.Linear(5, 1, rng=0)
    sgd = optim.SGD(one.parameters(), lr=1e-3)
    schedule = getattr(optim.lr_scheduler, name)(sgd, **settings)
    tg.fit(one, F.mse_loss, (X, REAL), epochs=4, batch_size=10, optimizer=sgd, scheduler=schedule)
    assert schedule.last_epoch == (28 if name in ("CyclicLR", "OneCycleLR") else 4)


def softmax(x: Any) -> Any:
    return np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)


LOGITS, TWO = r.normal(size=(40, 3)), r.normal(size=(40, 1))
T3, T2 = r.integers(0, 3, 40), r.integers(0, 2, 40)
VALUES = r.normal(size=(40, 1))
METRICS: dict[str, tuple[str, Any, Any, Any, Callable[[], float]]] = {
    "accuracy of three": (
        "accuracy",
        F.cross_entropy,
        T3,
        LOGITS,
        lambda: sklearn.accuracy_score(T3, LOGITS.argmax(1)),
    ),
    "accuracy of logits": (
        "accuracy",
        nn.BCEWithLogitsLoss(),
        T2[:, None],
        TWO,
        lambda: sklearn.accuracy_score(T2, TWO > 0),
    ),
    "accuracy of probabilities": (
        "accuracy",
        F.binary_cross_entropy,
        T2,
        TWO[:, 0],
        lambda: sklearn.accuracy_score(T2, TWO > 0.5),
    ),
    "accuracy of targets in columns": (
        "accuracy",
        F.cross_entropy,
        np.eye(3)[T3],
        LOGITS,
        lambda: sklearn.accuracy_score(T3, LOGITS.argmax(1)),
    ),
    "balanced accuracy": (
        "balanced_accuracy",
        F.cross_entropy,
        T3,
        LOGITS,
        lambda: sklearn.balanced_accuracy_score(T3, LOGITS.argmax(1)),
    ),
    "f1 of two": ("f1", nn.BCEWithLogitsLoss(), T2[:, None], TWO, lambda: sklearn.f1_score(T2, TWO > 0)),
    "f1 of three": ("f1", F.cross_entropy, T3, LOGITS, lambda: sklearn.f1_score(T3, LOGITS.argmax(1), average="macro")),
    "auc of one": ("auc", nn.BCEWithLogitsLoss(), T2[:, None], TWO, lambda: sklearn.roc_auc_score(T2, TWO)),
    "auc of two": (
        "auc",
        F.cross_entropy,
        T2,
        LOGITS[:, :2],
        lambda: sklearn.roc_auc_score(T2, LOGITS[:, 1] - LOGITS[:, 0]),
    ),
    "auc of three": (
        "auc",
        F.cross_entropy,
        T3,
        LOGITS,
        lambda: sklearn.roc_auc_score(T3, softmax(LOGITS), multi_class="ovr"),
    ),
    "mse": ("mse", F.mse_loss, VALUES, TWO, lambda: sklearn.mean_squared_error(VALUES, TWO)),
    "mae": ("mae", F.mse_loss, VALUES, TWO, lambda: sklearn.mean_absolute_error(VALUES, TWO)),
    "r2": ("r2", F.mse_loss, VALUES, TWO, lambda: sklearn.r2_score(VALUES, TWO)),
}


@pytest.mark.parametrize(("name", "loss", "targets", "outputs", "expected"), METRICS.values(), ids=METRICS)
def test_metrics_are_those_of_scikit_learn(
    name: str, loss: Any, targets: Any, outputs: Any, expected: Callable[[], float]
) -> None:
    assert tg.training.metrics.metrics_of([name], loss)[name](targets, outputs) == pytest.approx(expected(), rel=1e-12)


def test_a_metric_of_ones_own() -> None:
    metrics = {"largest": lambda targets, outputs: np.max(np.abs(targets - outputs))}
    one = nn.Linear(5, 1, rng=0)
    history = tg.fit(one, F.mse_loss, (X, REAL), epochs=1, validation=(X, REAL), metrics=metrics)
    assert history["largest"] == [np.max(np.abs(one(X).numpy() - REAL))]


class Root(nn.Module):
    """A module whose values are not finite once its weights have grown."""

    def __init__(self) -> None:
        self.linear = nn.Linear(5, 1, rng=0)

    def forward(self, x: Any) -> Any:
        return np.sqrt(self.linear(x) + 1.7)


@pytest.mark.parametrize("compile", BACKENDS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_first_number_that_is_not_finite_is_named(compile: Any) -> None:
    one = Root()
    sgd = optim.SGD(one.parameters(), lr=0.003)  # small enough for the first steps, which are verified
    states = [one.state_dict()]
    with pytest.raises(AnomalyError, match=r"(?s)in epoch \d+, step \d+: sqrt made .*return np.sqrt\(self.linear"):
        tg.fit(
            one,
            F.mse_loss,
            (X, REAL - 2),
            epochs=50,
            optimizer=sgd,
            compile=compile,
            callbacks=[lambda training: states.append(training.model.state_dict())],
            rng=0,
        )
    now = one.state_dict()
    assert any(all(np.array_equal(now[name], state[name]) for name in now) for state in states)
    assert np.isfinite(one.linear.weight.numpy()).all()


def test_a_step_that_is_too_large_is_named() -> None:
    one = nn.Linear(5, 1, rng=0)
    sgd = optim.SGD(one.parameters(), lr=1e308)
    with np.errstate(all="ignore"), pytest.raises(AnomalyError, match=r"the step of SGD.*made weight infinite or NaN"):
        tg.fit(one, lambda y, t: np.sum(y) * 1e3, (X, REAL), epochs=2, optimizer=sgd, verify=False)


def test_a_monitor_changes_nothing_and_sees_dead_units() -> None:
    def trained(*callbacks: Any) -> tuple[nn.Module, Any]:
        one = model()
        weights = one[1].state_dict()
        weights["bias"] = np.r_[np.full(4, -50.0), np.zeros(12)]
        one[1].load_state_dict(weights)
        return one, tg.fit(one, F.cross_entropy, (X, THREE), epochs=3, callbacks=callbacks, verify=False, rng=0)

    monitor = Monitor()
    watched, _ = trained(monitor)
    alone, _ = trained()
    assert states_equal(watched, alone)
    by_name = {record["parameter"]: record for record in monitor.records if record["epoch"] == 3}
    assert by_name["1.bias"]["dead_units"] == 0.25
    assert 1e-4 < by_name["4.weight"]["update_ratio"] < 0.1
    assert any("1.bias is partly zero: dead ReLU" in message for message in monitor.messages)
    assert len(monitor.frame()) == len(monitor.records) == 3 * len(list(watched.parameters()))
    assert len(monitor.messages) == len(set(monitor.messages))


def test_a_history_is_a_frame_and_a_picture(tmp_path: Any) -> None:
    history = tg.fit(model(), F.cross_entropy, (X, THREE), epochs=2, validation=(X, THREE), metrics=["accuracy"], rng=0)
    frame = history.frame()
    assert list(frame.columns) == ["loss", "validation_loss", "accuracy", "lr", "seconds"]
    assert list(frame.index) == [1, 2]
    assert [len(axes.get_lines()) for axes in history.plot().axes] == [3, 2]
    assert repr(history).startswith("History of 2 epochs, ended by epochs, best epoch ")
    assert [*history] == history.records


def test_the_loss_of_the_validation_may_leave_the_graph() -> None:
    """Also when the batch is tried before the first epoch."""

    def loss(outputs: Any, targets: Any) -> Any:
        return F.mse_loss(np.asarray(outputs) if len(targets) == 7 else outputs, targets)

    history = tg.fit(
        nn.Linear(5, 1, rng=0), loss, (X[:16], REAL[:16]), epochs=1, batch_size=8, validation=(X[:7], REAL[:7])
    )
    assert len(history["validation_loss"]) == 1


def test_an_error_in_a_metric_names_it() -> None:
    metrics = {"share": lambda targets, outputs: targets[99]}
    with pytest.raises(IndexError, match=r"(?s)out of bounds.*\nThis is about the metric 'share', of the validation"):
        tg.fit(nn.Linear(5, 1, rng=0), F.mse_loss, (X, REAL), epochs=1, validation=(X, REAL), metrics=metrics)


BAD: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no epochs": ({"epochs": 0}, InputError, "epochs must be a whole number of at least 1, got 0"),
    **{f"{name} of None": ({name: None}, InputError, f"{name} must be a whole") for name in ("epochs", "accumulate")},
    **{f"metrics of {value}": ({"metrics": value}, UsageError, "metrics is a list of names") for value in (None, 3)},
    "half a batch": ({"accumulate": 0.5}, InputError, "accumulate must be a whole number"),
    "no patience": ({"patience": 0}, InputError, "patience must be a whole number"),
    "an unknown metric": ({"metrics": ["acc"]}, InputError, "there is no metric 'acc'; there are accuracy"),
    "metrics without a list": ({"metrics": "f1"}, UsageError, "metrics is a list of names"),
    "metrics without validation": ({"metrics": ["r2"]}, UsageError, "metrics are measured on data that were held out"),
    "true epochs": ({"epochs": True}, InputError, "epochs must be a whole number"),
    "a negative norm": ({"clip_norm": -1.0}, InputError, "clip_norm must be a number above 0, got -1.0"),
    "a norm of 0": ({"clip_norm": 0}, InputError, "clip_norm must be a number above 0"),
    "a norm that is NaN": ({"clip_norm": np.nan}, InputError, "clip_norm must be a number above 0"),
    "a norm in words": ({"clip_norm": "1"}, InputError, "clip_norm must be a number above 0"),
    "a function for a model": ({"model": np.tanh}, UsageError, "model must be a tg.nn.Module, got ufunc"),
    "a class for a model": ({"model": nn.Linear}, UsageError, "Module, got the class Linear: call it to make one"),
    "no loss": ({"loss": None}, UsageError, "loss must be a module, or a function of"),
    "a class for a loss": ({"loss": nn.MSELoss}, UsageError, "loss must be .* got the class MSELoss: call it"),
    "the name of an optimiser": ({"optimizer": "Adam"}, UsageError, "optimizer must be .*; got str: 'Adam'"),
    "a class for an optimiser": ({"optimizer": optim.SGD}, UsageError, "got the class SGD: call it to make one"),
    "a class for a schedule": ({"scheduler": optim.lr_scheduler.StepLR}, UsageError, "got the class StepLR: call it"),
    "a number for a schedule": ({"scheduler": 0.9}, UsageError, "scheduler must be a schedule"),
    "one callback": ({"callbacks": print}, UsageError, "callbacks must be a list of functions"),
    "names of callbacks": ({"callbacks": ["print"]}, UsageError, "callbacks must be a list of functions"),
    "a share for validation": ({"validation": 0.2}, UsageError, "validation is held-out data"),
    "validation without targets": ({"validation": X}, UsageError, "the data must be pairs"),
    "weights beside the targets": ({"validation": (X, X, X)}, UsageError, r"write \(inputs, \(targets, weights\)\)"),
    "no rows": ({"data": (X[:0], REAL[:0])}, EmptyError, "no rows"),
    "no targets": ({"data": X}, UsageError, "a sample of these data is ndarray"),
    "three parts": ({"data": (X, X, X)}, UsageError, "is tuple of 3 parts"),
    "a list of two arrays": ({"data": [X, REAL]}, UsageError, "a list is a list of samples: write a tuple"),
    "batches of several lengths": (
        {"data": [(X[:9], REAL[:9]), (X[9:], REAL[9:])]},
        ShapeError,
        "if they are batches, join them by np.concatenate",
    ),
    "NaN in the features": (
        {"data": (np.where(X > 2, np.nan, X), REAL)},
        InputError,
        r"data\[0\] has .*NaN .*\d+ of 350",
    ),
    "infinite targets": (
        {"data": (X, REAL * np.inf)},
        InputError,
        r"data\[1\] has .* infinite \(70 of 70, first at \[0, 0\]\)",
    ),
    **{
        f"{name} in the validation": (
            {"validation": data},
            kind,
            rf"(?s){message}.*\nThis is about the validation data",
        )
        for name, data, kind, message in (
            ("NaN", (X, REAL * np.nan), InputError, r"data\[1\] has .* NaN"),
            ("no rows", (X[:0], REAL[:0]), EmptyError, "no rows"),
            ("other lengths", (X, REAL[:9]), ShapeError, r"data\[0\] has 70, data\[1\] has 9"),
            ("fewer features", (X[:, :2], REAL), ShapeError, "needs 5 features"),
            ("other targets", (X, np.zeros((70, 3, 2))), ValueError, "broadcast"),
        )
    },
    "lengths": ({"data": (X, REAL[:9])}, ShapeError, r"data\[0\] has 70, data\[1\] has 9"),
    "batches of another library": ({"data": iter([(X, REAL)])}, UsageError, "got list_iterator"),
    "no parameters": ({"model": nn.ReLU()}, UsageError, "nothing to train in this ReLU: it has no parameters"),
    "frozen": ({"model": nn.Linear(5, 1).requires_grad_(False)}, UsageError, "all of its parameters are frozen"),
    "an optimiser of another model": (
        {"optimizer": optim.SGD(nn.Linear(5, 1).parameters(), lr=0.1)},
        UsageError,
        "the optimiser has no parameter of this model",
    ),
    "a checkpoint in no folder": ({"checkpoint": "/no/folder/here"}, FileError, "folder /no/folder does not exist"),
    "a checkpoint that is a folder": ({"checkpoint": "/"}, FileError, "/ is not a regular file"),
    "targets of another shape": ({"data": (X, REAL[:, 0])}, VerificationError, "broadcast"),
    "a loader and a batch size": ({"data": DataLoader((X, REAL)), "batch_size": 3}, UsageError, "to the loader only"),
}


@pytest.mark.parametrize(("settings", "kind", "message"), BAD.values(), ids=BAD)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_bad_input_is_refused_and_changes_nothing(
    settings: dict[str, Any], kind: type[Exception], message: str
) -> None:
    one = nn.Linear(5, 1, rng=0)
    before = one.state_dict()
    call: dict[str, Any] = {"data": (X, REAL), "epochs": 1, **settings}
    with pytest.raises(kind, match=message):
        tg.fit(**{"model": one, "loss": lambda y, t: np.mean((y - t) ** 2), **call})
    assert all(np.array_equal(before[name], x) for name, x in one.state_dict().items())


class _OwnStep(optim.Optimizer):
    """Gradient descent whose step is written out, and takes no closure, as many are in PyTorch."""

    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for w in group["params"]:
                w.data = w.data - group["lr"] * w.grad.numpy()


class OverTime(nn.Module):
    """A model of sequences, whose outputs depend on what was before."""

    def __init__(self) -> None:
        self.lstm, self.head = nn.LSTM(5, 3, batch_first=True, rng=0), nn.Linear(3, 1, rng=1)

    def forward(self, x: Any) -> Any:
        return self.head(self.lstm(x)[0])


LISTS: dict[str, tuple[Callable[[], nn.Module], Any, list[Any], str]] = {
    "batches of a layer": (
        lambda: nn.Linear(5, 1, rng=0),
        F.mse_loss,
        [(X[:35], REAL[:35]), (X[35:], REAL[35:])],
        "warning",
    ),
    "a single batch": (lambda: nn.Linear(5, 1, rng=0), F.mse_loss, [(X, REAL)], "warning"),
    "batches for classes": (lambda: nn.Linear(5, 3, rng=0), F.cross_entropy, [(X[:9], np.arange(9) % 3)] * 4, "error"),
    "batches of images": (
        lambda: nn.Sequential(nn.Conv2d(1, 2, 3, rng=0), nn.Flatten(), nn.Linear(18, 1, rng=1)),
        F.mse_loss,
        [(np.random.default_rng(k).normal(size=(6, 1, 5, 5)), REAL[:6]) for k in range(4)],
        "error",
    ),
    "sequences": (OverTime, F.mse_loss, [(X[k : k + 9], REAL[k : k + 9]) for k in range(20)], ""),
    "signals": (
        lambda: nn.Conv1d(5, 5, 3, padding=1, rng=0),
        F.mse_loss,
        [(X[k : k + 5], np.tanh(X[k : k + 5])) for k in range(20)],
        "",
    ),
    "rows": (lambda: nn.Linear(5, 1, rng=0), F.mse_loss, [*zip(X, REAL)], ""),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_batches_is_no_list_of_samples(name: str) -> None:
    model, loss, data, outcome = LISTS[name]
    words = "each sample of these data has .* rows, .* If the samples are batches, join them"
    expected: Any = nullcontext()
    if outcome:
        is_warning = outcome == "warning"
        expected = pytest.warns(TinygradWarning, match=words) if is_warning else pytest.raises(UsageError, match=words)
    with expected:
        tg.fit(model(), loss, data, epochs=1)


def test_an_optimiser_may_define_a_step_without_a_closure() -> None:
    trained = []
    for kind in (optim.SGD, _OwnStep):
        one = nn.Linear(5, 1, rng=0)
        tg.fit(one, F.mse_loss, (X, REAL), epochs=2, optimizer=kind(one.parameters(), lr=0.1), clip_norm=0.5, rng=0)
        trained.append(one.weight.numpy())
    np.testing.assert_allclose(*trained, rtol=1e-12)


SCHEDULES: dict[str, Callable[[optim.Optimizer], Any]] = {
    "of epochs": lambda optimizer: optim.lr_scheduler.StepLR(optimizer, 2),
    "of steps": lambda optimizer: optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=100),
    "of losses": lambda optimizer: optim.lr_scheduler.ReduceLROnPlateau(optimizer),
    "chained": lambda optimizer: optim.lr_scheduler.ChainedScheduler(
        [optim.lr_scheduler.ExponentialLR(optimizer, 0.9)]
    ),
}


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_a_schedule_of_another_optimiser_is_refused(schedule: Callable[[optim.Optimizer], Any]) -> None:
    one = nn.Linear(5, 1, rng=0)
    own, other = (optim.SGD(one.parameters(), lr=0.1) for _ in range(2))
    tg.fit(one, F.mse_loss, (X, REAL), epochs=1, optimizer=own, scheduler=schedule(own))
    for optimizer in (other, None):
        with pytest.raises(UsageError, match="the scheduler sets the rate of another optimiser"):
            tg.fit(one, F.mse_loss, (X, REAL), epochs=1, optimizer=optimizer, scheduler=schedule(own))


@pytest.mark.long
@pytest.mark.parametrize("compile", [False, param("numpy", slow=True), "native"])
@pytest.mark.parametrize("stops", [param((2,), slow=True), param((1, 4), slow=False)])
def test_a_training_goes_on_from_its_checkpoint(compile: Any, stops: tuple[int, ...], tmp_path: Path) -> None:
    def trained(path: Path, epochs: int) -> tuple[nn.Module, Any]:
        one = model()
        adam = optim.NAdam(one.parameters(), lr=0.05)
        history = tg.fit(
            one,
            F.cross_entropy,
            (X, THREE),
            epochs=epochs,
            optimizer=adam,
            scheduler=optim.lr_scheduler.ReduceLROnPlateau(adam, patience=1),
            validation=(X[:20], THREE[:20]),
            metrics=["auc"],
            compile=compile,
            checkpoint=path,
            rng=0,
        )
        return one, history

    whole, history = trained(tmp_path / "whole.safetensors", 6)
    for epochs in (*stops, 6, 6):
        parts, resumed = trained(tmp_path / "parts.safetensors", epochs)
    assert states_equal(whole, parts)
    for name in ("epoch", "loss", "validation_loss", "auc", "lr"):
        assert history[name] == resumed[name]


class CentreLoss(nn.Module):
    """A loss with a parameter, a buffer and a generator."""

    def __init__(self) -> None:
        self.centres, self.mean, self._rng = (
            nn.Parameter(np.zeros((2, 3))),
            tg.tensor(np.zeros(3)),
            np.random.default_rng(5),
        )

    def forward(self, y: Any, t: Any) -> Any:
        self.mean.data = 0.9 * self.mean.data + 0.1 * np.mean(y.detach().data, axis=0)
        noise = self._rng.normal(size=y.shape)
        return np.mean((y - self.centres[t % 2] - self.mean + 0.1 * noise) ** 2) + np.mean(y**2)


@pytest.mark.parametrize("compile", [False, param("numpy", slow=True), "native"])
def test_a_loss_with_a_state_goes_on_from_a_checkpoint(compile: Any, tmp_path: Path) -> None:
    def trained(epochs: int, checkpoint: Path | None = None) -> list[float]:
        one, loss = model(), CentreLoss()
        optimizer = optim.Adam([*one.parameters(), *loss.parameters()], lr=0.05)
        settings: Any = {"optimizer": optimizer, "compile": compile, "checkpoint": checkpoint, "rng": 0}
        history: list[float] = tg.fit(one, loss, (X, THREE), epochs=epochs, verify=False, **settings)["loss"]
        return history

    path = tmp_path / "run.safetensors"
    trained(2, path)
    assert trained(5, path) == trained(5)


def test_a_training_that_stopped_by_patience_stays_stopped(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"epochs": 99, "patience": 2, "checkpoint": tmp_path / "run.safetensors", "rng": 0}
    settings |= {"verify": False}  # which would not let it diverge
    one, other = nn.Linear(5, 1, rng=0), nn.Linear(5, 1, rng=1)
    history = tg.fit(one, F.mse_loss, (X, REAL), optimizer=optim.SGD(one.parameters(), lr=0.8), **settings)
    assert history.ending == "patience"
    again = tg.fit(other, F.mse_loss, (X, REAL), optimizer=optim.SGD(other.parameters(), lr=0.8), **settings)
    assert again.records == history.records
    assert states_equal(one, other)


def test_a_checkpoint_of_another_model_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    tg.fit(nn.Linear(5, 1, rng=0), F.mse_loss, (X, REAL), epochs=1, checkpoint=path)
    other = nn.Linear(5, 2, rng=0)
    before = other.state_dict()
    with pytest.raises((InputError, ShapeError), match=r"run.safetensors does not fit: model"):
        tg.fit(other, F.mse_loss, (X, np.c_[REAL, REAL]), epochs=2, checkpoint=path)
    assert all(np.array_equal(before[name], x) for name, x in other.state_dict().items())


def test_a_layer_that_was_replaced_after_the_optimiser_was_made() -> None:
    model = nn.Sequential(nn.Linear(5, 4, rng=0), nn.Tanh(), nn.Linear(4, 3, rng=1))
    optimizer = optim.Adam(model.parameters())
    model[2] = nn.Linear(4, 1, rng=2)
    with pytest.raises(VerificationError, match=r"trains the model: .* lacks 2.weight, 2.bias: make it after"):
        tg.fit(model, F.mse_loss, (X, REAL), epochs=1, optimizer=optimizer)
    head = optim.Adam(model[2].parameters())  # of which the others are left as they are
    tg.fit(model, F.mse_loss, (X, REAL), epochs=1, optimizer=head)


def test_a_last_batch_that_the_model_refuses_is_seen_first() -> None:
    model = nn.Sequential(nn.Linear(5, 4, rng=0), nn.BatchNorm1d(4), nn.Linear(4, 1, rng=1))
    before = deepcopy(model.state_dict())
    with pytest.raises(ShapeError, match="leave out a last batch of one row by drop_last"):
        tg.fit(model, F.mse_loss, (X[:65], REAL[:65]), epochs=1)
    assert all(np.array_equal(before[name], x) for name, x in model.state_dict().items())
    tg.fit(model, F.mse_loss, DataLoader((X[:65], REAL[:65]), 32, shuffle=True, drop_last=True), epochs=1)


class Own(nn.Sequential):
    """Keeps its normalisation as it is, and notes its modes; neither method returns the module."""

    def train(self, mode: bool = True) -> Any:
        super().train(mode)
        self[1].training = False
        self.seen = [*getattr(self, "seen", []), mode]

    def eval(self) -> Any:
        super().eval()


class Loop(nn.Sequential):
    """Has loops over data under the names of the mode's methods."""

    def train(self, data: Any, epochs: int = 3) -> Any:
        raise AssertionError("called with a mode")

    def eval(self, data: Any) -> Any:
        raise AssertionError("called without data")


@pytest.mark.parametrize("kind", [Own, Loop])
def test_methods_of_a_model_for_its_mode(kind: Any) -> None:
    one = kind(*model(1))
    before = one[1].running_mean.copy()
    tg.fit(one, F.mse_loss, (X, REAL), epochs=1, validation=(X, REAL), compile="numpy")
    assert one.training
    assert one[3].training
    assert np.array_equal(before, one[1].running_mean) == (kind is Own)
    assert kind is Loop or one.seen == [True, False, True]
