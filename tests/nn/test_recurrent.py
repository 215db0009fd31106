"""Recurrent layers: their formulas in plain NumPy, step by step, and their errors."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.marks import param
from tinygrad_lite import nn
from tinygrad_lite.engine.op import Op
from tinygrad_lite.errors import InputError, ShapeError, UsageError
from tinygrad_lite.ops.networks import recurrence

STEPS, BATCH, INPUTS, HIDDEN = 3, 2, 2, 3
LAYERS: dict[str, Callable[..., nn.Module]] = {
    "RNN": nn.RNN,
    "RNN relu": lambda *sizes, **settings: nn.RNN(*sizes, nonlinearity="relu", **settings),
    "LSTM": nn.LSTM,
    "LSTM projected": lambda *sizes, **settings: nn.LSTM(*sizes, proj_size=2, **settings),
    "GRU": nn.GRU,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "one layer": {},
    "two layers": {"num_layers": 2, "batch_first": True},
    "both directions": {"num_layers": 2, "bidirectional": True},
    "no bias": {"bias": False},
}


def made(name: str, **settings: Any) -> Any:
    return LAYERS[name](INPUTS, HIDDEN, rng=0, **settings)


def inputs(layer: Any, has_batch: bool = True) -> tuple[Any, ...]:
    """An input, and the first state of one array or two."""
    rng = np.random.default_rng(1)
    batch = [BATCH] if has_batch else []
    x = rng.normal(size=(*batch, STEPS, INPUTS) if layer.batch_first else (STEPS, *batch, INPUTS))
    count = layer.num_layers * (1 + layer.bidirectional)
    sizes = [layer.proj_size or HIDDEN, HIDDEN][: 1 + isinstance(layer, nn.LSTM)]
    states = [rng.normal(size=(count, *batch, size)) for size in sizes]
    return x, *states


def called(layer: Any, x: Any, *states: Any) -> list[Any]:
    """The arrays that a layer returns."""
    y, last = layer(x, *([tuple(states)] if len(states) == 2 else states))
    return [y, *last] if isinstance(last, tuple) else [y, last]


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def step(layer: Any, weights: dict[str, Any], x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    """The next h and c by the formula."""
    by_x = x @ weights["weight_ih"].T + weights.get("bias_ih", 0)
    by_h = h @ weights["weight_hh"].T + weights.get("bias_hh", 0)
    if isinstance(layer, nn.LSTM):
        i, f, g, o = np.split(by_x + by_h, 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        return h @ weights["weight_hr"].T if layer.proj_size else h, c
    if isinstance(layer, nn.GRU):
        (xr, xz, xn), (hr, hz, hn) = np.split(by_x, 3, axis=-1), np.split(by_h, 3, axis=-1)
        z = sigmoid(xz + hz)
        return (1 - z) * np.tanh(xn + sigmoid(xr + hr) * hn) + z * h, c
    return (np.tanh if layer.nonlinearity == "tanh" else lambda z: np.maximum(z, 0))(by_x + by_h), c


def by_formula(layer: Any, x: Any, *states: Any) -> list[Any]:
    x = np.swapaxes(x, 0, 1) if layer.batch_first else x
    parameters, lasts = layer.state_dict(), []
    for level in range(layer.num_layers):
        both = []
        for suffix in ("", "_reverse")[: 1 + layer.bidirectional]:
            ending = f"_l{level}{suffix}"
            weights = {path.removesuffix(ending): w for path, w in parameters.items() if path.endswith(ending)}
            h, c = (states[k][len(lasts)] if k < len(states) else 0 for k in (0, 1))
            found = []
            for row in x[::-1] if suffix else x:
                h, c = step(layer, weights, row, h, c)
                found.append(h)
            both.append(np.array(found[::-1] if suffix else found))
            lasts.append((h, c))
        x = np.concatenate(both, axis=-1)
    last = [np.array(part) for part in zip(*lasts)][: len(states)]
    return [np.swapaxes(x, 0, 1) if layer.batch_first else x, *last]


def weighted(found: list[Any]) -> Any:
    """A sum in which each entry of each result counts differently."""
    return sum(np.sum(y * np.reshape(np.sin(np.arange(1.0, y.size + 1)), y.shape)) for y in found)


def assert_same(found: list[Any], expected: list[Any], rtol: float = 1e-12) -> None:
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(np.asarray(a.detach()), b, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_their_formula(name: str, settings: dict[str, Any]) -> None:
    layer = made(name, **settings)
    x, *states = inputs(layer)
    assert_same(called(layer, x, *states), by_formula(layer, x, *states))
    zeros = [np.zeros_like(state) for state in states]
    assert_same(called(layer, x), by_formula(layer, x, *zeros))
    alone = [x[0] if layer.batch_first else x[:, 0], *[state[:, 0] for state in states]]
    axis = 0 if layer.batch_first else 1
    expected = [np.take(y, 0, axis if k == 0 else 1) for k, y in enumerate(by_formula(layer, x, *states))]
    assert_same(called(layer, *alone), expected)


@pytest.mark.long
@pytest.mark.parametrize("settings", [SETTINGS["both directions"], SETTINGS["no bias"]], ids=["both", "no bias"])
@pytest.mark.parametrize("name", LAYERS)
def test_gradients_of_parameters_inputs_and_states(name: str, settings: dict[str, Any]) -> None:
    layer = made(name, **settings)
    arguments = inputs(layer)
    tg.gradcheck(lambda model, *x: weighted(called(model, *x)), layer, *arguments)


@pytest.mark.long
@pytest.mark.parametrize("name", LAYERS)
def test_second_derivatives(name: str) -> None:
    layer = LAYERS[name](1, 2 + (name == "LSTM projected"), rng=0)
    x, *states = inputs(layer)
    x, states = x[:2, :1, :1], [np.ones(np.shape(y)) / 3 for y in called(layer, x[:2, :1, :1])[1:]]
    tg.gradcheck(lambda model, *x: weighted(called(model, *x)), layer, x, *states, order=2)


@pytest.mark.long
@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_compiled_training_step_is_the_eager_one(name: str, backend: Any) -> None:
    def training() -> Any:
        layer = made(name, num_layers=2, dropout=0.5)
        optimizer = tg.optim.SGD(layer.parameters(), lr=0.1)

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            loss = weighted(called(layer, x))
            loss.backward()
            optimizer.step()
            return loss

        return layer, step

    (layer, step), (eager, other) = training(), training()
    compiled = tg.compile(step, backend)
    x = inputs(layer)[0]
    for _ in range(3):
        np.testing.assert_allclose(float(compiled(x)), float(other(x)), rtol=1e-10)
    assert_same(list(layer.parameters()), [p.numpy() for p in eager.parameters()], 1e-10)


def test_float32_stays_float32_and_batches_may_be_empty() -> None:
    for name in LAYERS:
        layer = LAYERS[name](INPUTS, HIDDEN, dtype=np.float32, rng=0)
        x = tg.tensor(np.ones((STEPS, 0, INPUTS), np.float32), requires_grad=True)
        for result in (called(layer, x), called(layer, x + 1)):
            assert {y.dtype for y in result} == {np.dtype(np.float32)}
        weighted(called(layer, x)).backward()
        assert (x.grad.shape, x.grad.dtype) == ((STEPS, 0, INPUTS), np.float32)


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.bool_])
@pytest.mark.parametrize("name", LAYERS)
def test_whole_numbers_as_inputs_are_those_numbers(name: str, dtype: type) -> None:
    """A half of their dtype would be 0."""
    layer = made(name)
    x = np.arange(STEPS * BATCH * INPUTS).reshape(STEPS, BATCH, INPUTS) % 2
    expected, values = called(layer, x.astype(float)), called(layer, x.astype(dtype))
    assert_same(values, [y.numpy() for y in expected])
    gradients = []
    for results in (expected, values):
        layer.zero_grad()
        weighted(results).backward()
        gradients.append([p.grad for p in layer.parameters()])
    assert_same(gradients[1], [g.numpy() for g in gradients[0]])


@pytest.mark.parametrize("op", [recurrence.rnn, recurrence.lstm, recurrence.gru], ids=str)
def test_whole_numbers_alone_make_fractions(op: Op) -> None:
    for sizes, params in op.examples:
        arrays = [np.ones(size, np.int64) for size in sizes]
        np.testing.assert_allclose(op(*arrays, **params), op(*[x.astype(float) for x in arrays], **params))


def test_parameters_have_pytorchs_names_and_distribution() -> None:
    layer = nn.LSTM(5, 4, 2, bidirectional=True, proj_size=3, rng=0)
    names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"]
    shapes = [(16, 5), (16, 3), (16,), (16,), (3, 4)]
    state = layer.state_dict()
    assert list(state) == [f"{x}_l{k}{s}" for k in (0, 1) for s in ("", "_reverse") for x in names]
    assert [x.shape for x in state.values()][:5] == shapes
    assert state["weight_ih_l1_reverse"].shape == (16, 6)
    largest = max(abs(x).max() for x in state.values())
    assert 0.45 < largest <= 0.5
    assert list(nn.GRUCell(2, 3).state_dict()) == names[:4]


def test_dropout_acts_between_layers_in_training_alone() -> None:
    x = np.ones((STEPS, BATCH, INPUTS))
    first = nn.GRU(INPUTS, HIDDEN, 2, dropout=1.0, rng=0)
    other = nn.GRU(INPUTS, HIDDEN, 2, rng=0)
    other.load_state_dict(first.state_dict())
    assert not np.allclose(*(layer(x)[0].detach() for layer in (first, other)))
    for a, b in zip(called(first.eval(), x), called(other, x)):
        np.testing.assert_array_equal(a.detach(), b.detach())


CELLS: dict[str, tuple[Callable[..., nn.Module], str]] = {
    "RNNCell": (nn.RNNCell, "RNN"),
    "RNNCell relu": (lambda *sizes, **rest: nn.RNNCell(*sizes, nonlinearity="relu", **rest), "RNN relu"),
    "LSTMCell": (nn.LSTMCell, "LSTM"),
    "GRUCell": (nn.GRUCell, "GRU"),
}


@pytest.mark.long
@pytest.mark.parametrize("bias", [True, param(False, slow=True)])
@pytest.mark.parametrize(("make", "name"), CELLS.values(), ids=CELLS)
def test_cells_are_a_step_of_the_layer(make: Any, name: str, bias: bool) -> None:
    cell, layer = make(INPUTS, HIDDEN, bias=bias, rng=0), made(name, bias=bias)
    layer.load_state_dict({f"{path}_l0": array for path, array in cell.state_dict().items()})
    x, *states = (part[0] for part in inputs(layer))
    for given in (states, []):
        for rows in (slice(None), 0):
            h = [state[rows] for state in given]
            found = cell(x[rows], *([tuple(h)] if len(h) == 2 else h))
            expected = called(layer, x[None, rows], *[state[None] for state in h])[1:]
            found = list(found) if isinstance(found, tuple) else [found]
            assert_same(found, [y.numpy()[0] for y in expected])

    def loss(cell: Any, x: Any, *h: Any) -> Any:
        found = cell(x, *([h] if len(h) == 2 else h))
        return weighted(list(found) if isinstance(found, tuple) else [found])

    tg.gradcheck(loss, cell, x[:1], *[state[:1] for state in states], order=2)


X = np.zeros((3, 2, 2))
ERRORS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "features": (lambda: nn.GRU(3, 4)(X), ShapeError, r"GRU\(input_size=3, .*of 3 entries; got shape \(3, 2, 2\)"),
    "axes": (lambda: nn.LSTM(2, 4)(X[None]), ShapeError, r"LSTM\(.*3 axes, or of 2 .*\(1, 3, 2, 2\)"),
    "no steps": (lambda: nn.RNN(2, 4)(X[:0]), ShapeError, r"RNN\(.*at least one step.*\(0, 2, 2\)"),
    "state": (lambda: nn.GRU(2, 4)(X, np.zeros((1, 3, 4))), ShapeError, r"h_0 of shape \(1, 2, 4\).*\(1, 3, 4\)"),
    "cell": (lambda: nn.LSTM(2, 4)(X, (np.zeros((1, 2, 4)), X)), ShapeError, r"c_0 of shape \(1, 2, 4\).*\(3, 2, 2\)"),
    "no pair": (lambda: nn.LSTM(2, 4)(X, X), UsageError, r"pair \(h, c\).*ndarray"),
    "hidden": (lambda: nn.GRU(2, 0), InputError, "hidden_size must be a whole number of at least 1, got 0"),
    "layers": (lambda: nn.RNN(2, 2, 1.5), InputError, "num_layers must be a whole number of at least 1, got 1.5"),
    "projection": (lambda: nn.LSTM(2, 4, proj_size=4), InputError, "below its hidden_size 4, got 4"),
    "nonlinearity": (lambda: nn.RNN(2, 4, nonlinearity="sin"), InputError, "'tanh' or 'relu', got 'sin'"),
    "dropout": (lambda: nn.RNN(2, 4, dropout=2), InputError, "2"),
    "cell's input": (lambda: nn.GRUCell(3, 4)(X[0]), ShapeError, r"GRUCell\(.*3 entries; got shape \(2, 2\)"),
    "cell's state": (lambda: nn.RNNCell(2, 4)(X[0], X[0]), ShapeError, r"a state of shape \(2, 4\).*\(2, 2\)"),
    "cell's cell": (lambda: nn.LSTMCell(2, 4)(X[0], (np.zeros((2, 4)), X[0])), ShapeError, r"cell of shape \(2, 4\)"),
}


@pytest.mark.parametrize(("attempt", "kind", "message"), ERRORS.values(), ids=list(ERRORS))
def test_errors(attempt: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        attempt()


@pytest.mark.parametrize("op", [recurrence.rnn, recurrence.lstm, recurrence.gru], ids=repr)
def test_arrays_that_do_not_fit_one_another_are_refused(op: Op) -> None:
    for shapes, params in op.examples or []:
        arrays = [np.ones(shape) for shape in shapes]
        for i, shape in enumerate(shapes):
            for other in ((*shape, 1), shape[1:], (shape[0] + 1, *shape[1:])):
                if i or len(other) != 3:  # of an input, the number of steps may be any
                    wrong = [*arrays[:i], np.ones(other), *arrays[i + 1 :]]
                    with pytest.raises(ShapeError, match="a recurrent layer needs an input"):
                        op(*wrong, **params)
        with pytest.raises(ShapeError, match="one step at least"):
            op(arrays[0][:0], *arrays[1:], **params)
