"""Recurrent layers: all steps of a sequence in one operation.

A loop over small arrays spends most of its time on calls, so a step is few operations, and what does not depend on the
step before is computed for all steps at once. The batch is the last axis, so that the parts of a state lie together in
memory.

The arguments are the input (steps, inputs, batch), the first states (hidden, batch), W_ih, W_hh, b_ih, and b_hh. Their
rules have one pass back through time in common: it finds the gradients of W_ih xₜ + b_ih, and those of all arguments
but the input.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lite.engine.op import Array, Example, Rule, primitive
from tinygrad_lite.errors import ShapeError


def _check_shapes(gates: int, x: Array, states: Sequence[Array], *weights: Array) -> None:
    """Raise unless the input, the first states and the weights of a layer fit one another."""
    steps, inputs, batch = x.shape if x.ndim == 3 else (0, 0, 0)
    rows, hidden = weights[1].shape if weights[1].ndim == 2 else (0, 0)
    needed = [(hidden, batch)] * len(states) + [(rows, inputs), (rows, hidden), (rows,), (rows,)]
    found = [part.shape for part in (*states, *weights)]
    if not steps or rows != gates * hidden or found != needed:
        raise ShapeError(
            "a recurrent layer needs an input (steps, inputs, batch) with one step at least, states (hidden, batch), "
            f"and of {gates} × hidden rows W_ih (rows, inputs), W_hh (rows, hidden), b_ih and b_hh (rows); got the "
            f"input {x.shape}, states and weights {', '.join(map(str, found))}"
        )


def _stacked(steps: list[Array]) -> Array:
    """One matrix for each step as one array, in half the time of np.stack."""
    return np.concatenate(steps).reshape((len(steps), *steps[0].shape))


def _rooms(arrays: Sequence[Array], steps: int, batch: int, *rows: int) -> list[Any]:
    """For each kind of result of a step, where all steps write theirs; nowhere, if arrays are not in memory, or whole.

    NumPy makes a new array of an operation's `out` if it is None, so that one text serves both.
    """
    if any(type(x) is not np.ndarray for x in arrays) or np.result_type(*arrays).kind in "biu":
        return [[None] * steps for _ in rows]
    return [np.empty((steps, n, batch), np.result_type(*arrays)) for n in rows]


def _own_room(x: Array, arrays: Sequence[Array]) -> Any:
    """Where each step writes what takes the place of its row of x, which nobody else holds."""
    is_room = all(type(part) is np.ndarray for part in (x, *arrays)) and x.dtype == np.result_type(*arrays)
    return x if is_room else [None] * len(x)


def _kept(rooms: Sequence[Any], results: Sequence[Sequence[Array]]) -> list[Array]:
    """Each kind of result as one array."""
    return [room if type(room) is np.ndarray else _stacked([*each]) for room, each in zip(rooms, zip(*results))]


def _before(states: Array, first: Array) -> Array:
    """The state in front of each step."""
    return np.concatenate([first[None], states[:-1]])


def _from_back(k: int) -> Rule:
    """The rule of an argument whose gradient is entry k of what the pass back returns."""

    def entry_of_back(g: Array, y: Array, *arguments: Array, **_: Any) -> Array:
        return arguments[-1][k]

    return entry_of_back


def _by_weights(x: Array, hiddens: Array, *by_sums: Array) -> list[Array]:
    """The gradients of W_ih, W_hh, b_ih, and b_hh, from those of W_ih xₜ + b_ih and W_hh hₜ₋₁ + b_hh, or of their sum.

    Those of the weights, Σ dₜ xₜᵀ, and of the biases, Σ dₜ, are one product.
    """
    ones = np.ones((len(x), 1, x.shape[2]), x.dtype)
    both = [[x, hiddens, ones]] if len(by_sums) == 1 else [[x, ones], [hiddens, ones]]
    products = [np.tensordot(d, np.concatenate(v, axis=1), ((0, 2), (0, 2))) for d, v in zip(by_sums, both)]
    first, last, inputs = products[0], products[-1], x.shape[1]
    return [first[:, :inputs], last[:, inputs if len(by_sums) == 1 else 0 : -1], first[:, -1], last[:, -1]]


def _fraction(x: Any, like: Array) -> Any:
    """An array of fractions in the dtype of another one, if that has fractions."""
    return np.asarray(x, like.dtype if like.dtype.kind == "f" else np.float64)


def _per_gate(factors: Sequence[float], hidden: int, like: Array) -> Any:
    """A column with one factor for all rows of each gate."""
    return np.repeat(_fraction(factors, like), hidden)[:, None]


def _examples(gates: int, states: int, params: Sequence[dict[str, Any]] = ({},)) -> list[Example]:
    """A few sizes, with each set of further parameters."""
    examples: list[Example] = []
    for steps, inputs, hidden, batch in [(2, 1, 1, 2), (3, 1, 2, 1), (1, 2, 1, 2)]:
        rows = gates * hidden
        weights = [(rows, inputs), (rows, hidden), (rows,), (rows,)]
        examples += [([(steps, inputs, batch), *[(hidden, batch)] * states, *weights], more) for more in params]
    return examples


def _rnn(
    x: Array, h: Array, by_input: Array, by_state: Array, b_ih: Array, b_hh: Array, nonlinearity: str = "tanh"
) -> Array:
    """The states h₁ … h_T: hₜ = tanh(W_ih xₜ + b_ih + W_hh hₜ₋₁ + b_hh), or relu."""
    _check_shapes(1, x, [h], by_input, by_state, b_ih, b_hh)
    x = np.matmul(by_input, x) + (b_ih + b_hh)[:, None]
    rooms, results = _rooms([x, h, by_state], len(x), h.shape[1], len(h)), []
    for row, hidden in zip(x, *rooms):
        z = np.add(np.dot(by_state, h), row, out=hidden)
        h = np.tanh(z, out=hidden) if nonlinearity == "tanh" else np.maximum(z, 0, out=hidden)
        results.append([h])
    return _kept(rooms, results)[0]


def _rnn_back(
    g: Array,
    y: Array,
    x: Array,
    h: Array,
    by_input: Array,
    by_state: Array,
    b_ih: Array,
    b_hh: Array,
    nonlinearity: str = "tanh",
) -> list[Array]:
    slopes = 1 - y * y if nonlinearity == "tanh" else np.greater(y, 0).astype(y.dtype)
    back, by_sums, d = by_state.T, [], g[-1]
    for t in reversed(range(len(x))):
        by_sums.append(d * slopes[t])
        d = np.dot(back, by_sums[-1])
        d = d + g[t - 1] if t else d
    by_sum = _stacked(by_sums[::-1])
    return [by_sum, d, *_by_weights(x, _before(y, h), by_sum)]


def _rnn_corners(
    x: Array, h: Array, by_input: Array, by_state: Array, b_ih: Array, b_hh: Array, nonlinearity: str = "tanh"
) -> Array:
    """What relu gets in each step; tanh has no corner."""
    if nonlinearity == "tanh":
        return np.ones_like(h)
    before = _before(_rnn(x, h, by_input, by_state, b_ih, b_hh, nonlinearity), h)
    return np.matmul(by_input, x) + (b_ih + b_hh)[:, None] + np.matmul(by_state, before)


rnn = primitive(
    _rnn,
    lambda g, y, x, h, by_input, by_state, b_ih, b_hh, back, nonlinearity="tanh": np.matmul(by_input.T, back[0]),
    *map(_from_back, range(1, 6)),
    adjoint=_rnn_back,
    kink=_rnn_corners,
    examples=_examples(1, 1, [{}, {"nonlinearity": "relu"}]),
)


# σ(z) = ½ + ½ tanh(z / 2): with the rows of such gates halved beforehand, one tanh serves all gates of a step


class _Memory(NamedTuple):
    """What an LSTM went through: σ of all gates, g, the cells from c₁ on and their tanh, the states from h₁ on."""

    gates: Array
    candidates: Array
    cells: Array
    squashed: Array
    hiddens: Array


def _lstm_memory(x: Array, h: Array, c: Array, by_input: Array, by_state: Array, b_ih: Array, b_hh: Array) -> _Memory:
    _check_shapes(4, x, [h, c], by_input, by_state, b_ih, b_hh)
    n = len(h)
    halves, half = _per_gate((0.5, 0.5, 1, 0.5), n, by_input), _fraction(0.5, by_input)
    x, by_state = np.matmul(by_input * halves, x) + (b_ih + b_hh)[:, None] * halves, by_state * halves
    arrays = [x, h, c, by_state]
    rooms, results = [_own_room(x, arrays), *_rooms(arrays, len(x), h.shape[1], 4 * n, n, n, n)], []
    for row, bounded, gates, cell, squashed, hidden in zip(x, *rooms):
        bounded = np.tanh(np.add(row, np.dot(by_state, h), out=bounded), out=bounded)
        gates = np.multiply(bounded, half, out=gates)
        gates += half
        c = np.multiply(gates[n : 2 * n], c, out=cell)
        c = np.add(c, gates[:n] * bounded[2 * n : 3 * n], out=cell)
        squashed = np.tanh(c, out=squashed)
        h = np.multiply(gates[3 * n :], squashed, out=hidden)
        results.append((bounded, gates, c, squashed, h))
    all_bounded, all_gates, *others = _kept(rooms, results)
    return _Memory(all_gates, all_bounded[:, 2 * n : 3 * n], *others)


def _lstm(
    x: Array, h: Array, c: Array, by_input: Array, by_state: Array, b_ih: Array, b_hh: Array, memory: _Memory
) -> Array:
    """The states h₁ … h_T, and after them the last cell c_T.

    i, f, g, o = σ, σ, tanh, σ of W_ih xₜ + b_ih + W_hh hₜ₋₁ + b_hh;  cₜ = f cₜ₋₁ + i g;  hₜ = o tanh cₜ.
    """
    return np.concatenate([memory.hiddens, memory.cells[-1:]])


def _lstm_back(
    g: Array,
    y: Array,
    x: Array,
    h: Array,
    c: Array,
    by_input: Array,
    by_state: Array,
    b_ih: Array,
    b_hh: Array,
    memory: _Memory,
) -> list[Array]:
    n, by_h, by_c = len(h), g[:-1], g[-1]
    gates, candidates, cells, squashed, hiddens = memory
    # the slope of each gate, times what the gate multiplies in cₜ or hₜ; that of g, 1 - g², is four times σ's of it
    slopes = 1 - gates
    slopes *= gates
    slopes = slopes * np.concatenate([candidates, _before(cells, c), 4 * gates[:, :n], squashed], axis=1)
    to_cell, kept = 1 - squashed * squashed, gates[:, n : 2 * n]
    to_cell *= gates[:, 3 * n :]
    back, by_sums, d = by_state.T, [], 0
    rooms: list[Any] = [[None] * len(x)] * 2
    if is_in_memory := all(type(part) is np.ndarray for part in (g, slopes, by_state)):
        by_gate = slopes.reshape((len(x), 4, *h.shape))
        rooms = [by_gate[:, :3], by_gate[:, 3]]  # of what goes to the cell, and to the state
    for slope, of_cell, of_hidden, inward, keep, own in zip(
        *(each[::-1] for each in (slopes, *rooms, to_cell, kept, by_h))
    ):
        d = d + own
        by_c = by_c + d * inward
        if is_in_memory:  # the slopes make room for the gradients of the sums
            of_cell *= by_c
            of_hidden *= d
        else:
            slope = np.concatenate([by_c, by_c, by_c, d]) * slope
        by_sums.append(slope)
        by_c = by_c * keep
        d = np.dot(back, slope)
    all_sums = slopes if is_in_memory else _stacked(by_sums[::-1])
    return [all_sums, d, by_c, *_by_weights(x, _before(hiddens, h), all_sums)]


lstm = primitive(
    _lstm,
    lambda g, y, x, h, c, by_input, by_state, b_ih, b_hh, memory, back: np.matmul(by_input.T, back[0]),
    *map(_from_back, range(1, 7)),
    shared=_lstm_memory,
    adjoint=_lstm_back,
    examples=_examples(4, 2),
)


class _Course(NamedTuple):
    """What a GRU went through: r and z, n, the product that r multiplies, the states from h₁ on."""

    gates: Array
    candidates: Array
    products: Array
    hiddens: Array


def _gru_course(x: Array, h: Array, by_input: Array, by_state: Array, b_ih: Array, b_hh: Array) -> _Course:
    _check_shapes(3, x, [h], by_input, by_state, b_ih, b_hh)
    n = len(h)
    halves, half = _per_gate((0.5, 0.5, 1), n, by_input), _fraction(0.5, by_input)
    bias, beside = b_ih[:, None] * halves, b_hh[:, None] * halves
    x, by_state = np.matmul(by_input * halves, x) + bias, by_state * halves
    rooms, results = _rooms([x, h, by_state, beside], len(x), h.shape[1], 2 * n, n, 3 * n, n), []
    for row, gates, candidate, sums, hidden in zip(x, *rooms):
        sums = np.add(np.dot(by_state, h), beside, out=sums)
        gates = np.tanh(row[: 2 * n] + sums[: 2 * n], out=gates)
        gates *= half
        gates += half
        candidate = np.tanh(gates[:n] * sums[2 * n :] + row[2 * n :], out=candidate)
        kept = h - candidate
        kept *= gates[n:]
        h = np.add(kept, candidate, out=hidden)
        results.append((gates, candidate, sums, h))
    all_gates, candidates, all_sums, hiddens = _kept(rooms, results)
    return _Course(all_gates, candidates, all_sums[:, 2 * n :], hiddens)


def _gru(x: Array, h: Array, by_input: Array, by_state: Array, b_ih: Array, b_hh: Array, course: _Course) -> Array:
    """The states h₁ … h_T.

    r, z = σ of the first two parts of (W_ih xₜ + b_ih) + (W_hh hₜ₋₁ + b_hh), and n = tanh of the third, in which r
    multiplies the second bracket;  hₜ = (1 - z) n + z hₜ₋₁.
    """
    return course.hiddens


def _gru_back(
    g: Array,
    y: Array,
    x: Array,
    h: Array,
    by_input: Array,
    by_state: Array,
    b_ih: Array,
    b_hh: Array,
    course: _Course,
) -> list[Array]:
    n, batch = h.shape
    gates, candidates, products, hiddens = course
    reset, kept = gates[:, :n], gates[:, n:]
    slopes = gates * (1 - gates)
    by_candidate = (1 - kept) * (1 - candidates * candidates)
    by_reset = by_candidate * products * slopes[:, :n]
    before = _before(hiddens, h)
    by_update = (before - candidates) * slopes[:, n:]
    factors = np.stack([by_reset, by_update, by_candidate * reset], axis=1)
    back, by_h, by_sums, d = by_state.T, [], [], g[-1]
    for t in reversed(range(len(x))):
        by_h.append(d)
        by_sums.append((factors[t] * d).reshape((3 * n, batch)))
        d = kept[t] * d + np.dot(back, by_sums[-1])
        d = d + g[t - 1] if t else d
    by_hh = _stacked(by_sums[::-1])
    by_ih = np.concatenate([by_hh[:, : 2 * n], by_candidate * _stacked(by_h[::-1])], axis=1)
    return [by_ih, d, *_by_weights(x, before, by_ih, by_hh)]


gru = primitive(
    _gru,
    lambda g, y, x, h, by_input, by_state, b_ih, b_hh, course, back: np.matmul(by_input.T, back[0]),
    *map(_from_back, range(1, 6)),
    shared=_gru_course,
    adjoint=_gru_back,
    examples=_examples(3, 1),
)


def run_rnn(x: Array, h: Array, weights: Sequence[Array], nonlinearity: str) -> Array:
    """The states of all steps; the weights are W_ih, W_hh, and b_ih and b_hh if there are biases."""
    return rnn(x, h, *_with_biases(weights), nonlinearity=nonlinearity)


def run_lstm(x: Array, h: Array, c: Array, weights: Sequence[Array]) -> tuple[Array, Array]:
    """The states of all steps, and the last cell with a first axis of length 1."""
    y = lstm(x, h, c, *_with_biases(weights))
    return y[:-1], y[-1:]


def run_gru(x: Array, h: Array, weights: Sequence[Array]) -> Array:
    """The states of all steps."""
    return gru(x, h, *_with_biases(weights))


def _with_biases(weights: Sequence[Array]) -> Sequence[Array]:
    if len(weights) == 4:
        return weights
    none = np.zeros(len(weights[1]), weights[1].dtype)
    return [*weights, none, none]
