"""`Recorder`: what it keeps, and that the training does not notice it."""

from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn, optim
from tinygrad_lite.errors import InputError, UsageError
from tinygrad_lite.nn import functional as F
from tinygrad_lite.training import Recorder

X = np.random.default_rng(0).normal(size=(40, 2))
Y = (X[:, :1] * X[:, 1:] > 0) * 1.0


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(2, 4, rng=0), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(rng=1), nn.Linear(4, 1, rng=2)
    )


def trained(*, recorded: bool) -> tuple[nn.Module, Recorder | None]:
    model = network()
    recorder = Recorder(model, F.binary_cross_entropy_with_logits, (X, Y)) if recorded else None
    callbacks: list[Any] = [recorder] if recorder else []
    tg.fit(model, F.binary_cross_entropy_with_logits, (X, Y), epochs=3, callbacks=callbacks, rng=0)
    return model, recorder


def test_a_recorder_changes_nothing() -> None:
    one, _ = trained(recorded=True)
    other, _ = trained(recorded=False)
    for name, array in one.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name], array)


def test_a_frame_has_what_the_model_was_then() -> None:
    model, recorder = trained(recorded=True)
    assert recorder is not None
    last = recorder.frames[-1]
    model.eval()
    model.zero_grad()
    loss = F.binary_cross_entropy_with_logits(model(X), Y)
    loss.backward()
    assert last.loss == loss.item()
    assert [frame.epoch for frame in recorder.frames] == [0, 1, 2, 3]
    for path, w in model.named_parameters():
        np.testing.assert_array_equal(last.weights[path], w.numpy())
        assert w.grad is not None
        np.testing.assert_array_equal(last.gradients[path], w.grad.numpy())
    assert {path: x.shape for path, x in last.activations.items()} == {
        "0": (32, 4),
        "1": (32, 4),
        "2": (32, 4),
        "3": (32, 4),
        "4": (32, 1),
    }
    np.testing.assert_array_equal(last.activations["4"], model(X).numpy()[:32])
    assert last.plane is not None
    (left, right), (bottom, top) = recorder.bounds()
    corners = np.array([[left, top], [right, top], [left, bottom], [right, bottom]])
    np.testing.assert_allclose(last.plane[[0, 47, -48, -1]], model(corners).numpy(), rtol=1e-12)


def test_what_cannot_be_recorded_or_played_back() -> None:
    model = network()
    with pytest.raises(UsageError, match="a recorder's batch is a pair"):
        Recorder(model, F.mse_loss, X)
    with pytest.raises(UsageError, match="the loss must be a tensor of one number"):
        Recorder(model, lambda y, t: y - t, (X, Y))
    recorder = Recorder(model, F.mse_loss, (X, Y))
    with pytest.raises(InputError, match=r"has no epoch: pass it to tg.fit as a callback"):
        tg.explain(model, history=recorder)
    recorder.record()
    for history in (3, {}, [recorder] * 3, [model]):
        with pytest.raises(UsageError, match=r"history is a tg\.training\.Recorder, or two of them"):
            tg.explain(model, history=history)


class Growing(nn.Module):
    def __init__(self) -> None:
        self.first, self.more, self.last = nn.Linear(3, 4, rng=0), None, nn.Linear(4, 1, rng=1)

    def forward(self, x: Any) -> Any:
        hidden = self.first(x)
        return self.last(hidden if self.more is None else self.more(hidden))


def _widen(model: Growing) -> None:
    model.first, model.last = nn.Linear(3, 6, rng=0), nn.Linear(6, 1, rng=1)


def _deepen(model: Growing) -> None:
    model.more = nn.Linear(4, 4, rng=2)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_widen, r"first\.weight was of shape \(4, 3\) at first, and of shape \(6, 3\) after 2 epochs"),
        (_deepen, r"more\.weight was not there at first, and of shape \(4, 4\) after 2 epochs"),
    ],
)
def test_a_model_that_changes_its_form_is_said_to(change: Any, told: str) -> None:
    model = Growing()
    recorder = Recorder(model, F.mse_loss, (np.ones((5, 3)), np.ones((5, 1))))
    recorder.record()
    change(model)
    recorder.record()
    with pytest.raises(InputError, match=told):
        tg.explain(model, history=recorder)


def test_a_dtype_may_change() -> None:
    model = nn.Linear(3, 1, rng=0)
    recorder = Recorder(model, F.mse_loss, (np.ones((5, 3)), np.ones((5, 1))))
    model.weight.replace(np.asarray(model.weight.data, "f4"))
    recorder.record()
    assert "1 epoch," in repr(tg.explain(model, history=recorder))


def test_a_parameter_that_no_gradient_reaches_has_none() -> None:
    model = nn.Sequential(nn.Linear(3, 4, rng=0), nn.Linear(4, 1, rng=1))
    model[0].weight.requires_grad = False
    recorder = Recorder(model, F.mse_loss, (np.ones((5, 3)), np.ones((5, 1))))
    assert [*recorder.frames[0].gradients] == ["0.bias", "1.weight", "1.bias"]


def test_what_a_training_is_made_of_says_what_it_is() -> None:
    x, y = np.ones((10, 2)), np.ones((10, 1))
    model = nn.Linear(2, 1, rng=0)
    loader, average = tg.data.DataLoader((x, y), batch_size=4, shuffle=True), optim.ExponentialMovingAverage(model)
    recorder, monitor = tg.training.Recorder(model, nn.MSELoss(), (x, y)), tg.training.Monitor(every=2)
    assert repr(loader) == "DataLoader(rows=10, batch_size=4, shuffle=True, drop_last=False, batches=3)"
    assert repr(average) == "ExponentialMovingAverage(weights=2, decay=0.999, n_averaged=0)"
    assert repr(recorder) == "Recorder(model=Linear, rows=10, frames=1)"
    assert repr(monitor) == "Monitor(every=2, records=0, messages=0)"
