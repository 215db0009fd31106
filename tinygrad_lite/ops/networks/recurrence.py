"""Recurrent layers: all steps of a sequence in one operation.

A loop over small arrays spends most of its time on calls, so a step is few operations, in place where nobody else holds
the array, and what does not depend on the step before is computed for all steps at once. The batch is the last axis, so
that the parts of a state lie together in memory. One pass back through time makes the gradients of all arguments, so an
operation here takes one flat array that holds them one after another: the input (steps, inputs, batch), the first
states (hidden, batch), W_ih, W_hh, and b_ih and b_hh if there are biases.
"""

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lite.engine.op import Array, Example, primitive

Sizes = tuple[int, int, int, int, int]
"""The numbers of steps, inputs, hidden units, rows in a batch, and biases."""


class _Arguments(NamedTuple):
    x: Array
    states: list[Array]
    by_input: Array
    by_state: Array
    biases: list[Array]


def _packed(parts: Sequence[Array]) -> Array:
    return np.concatenate([part if len(part.shape) == 1 else part.reshape(-1) for part in parts])


def _unpacked(flat: Array, shapes: Sequence[tuple[int, ...]]) -> list[Array]:
    stops = np.cumsum([prod(shape) for shape in shapes]).tolist()
    return [flat[stop - prod(shape) : stop].reshape(shape) for shape, stop in zip(shapes, stops)]


def _stacked(steps: list[Array]) -> Array:
    """One matrix for each step as one array, in half the time of np.stack."""
    return np.concatenate(steps).reshape((len(steps), *steps[0].shape))


def _shapes(gates: int, states: int, sizes: Sizes) -> list[tuple[int, ...]]:
    steps, inputs, hidden, batch, biases = sizes
    rows = gates * hidden
    starts, columns = [(hidden, batch)] * states, [(rows, 1)] * biases
    return [(steps, inputs, batch), *starts, (rows, inputs), (rows, hidden), *columns]


def _arguments(gates: int, states: int, flat: Array, sizes: Sizes) -> _Arguments:
    x, *others = _unpacked(flat, _shapes(gates, states, sizes))
    first, (by_input, by_state, *biases) = others[:states], others[states:]
    return _Arguments(x, first, by_input, by_state, biases)


def _gradient(x: Array, by_input: Array, hiddens: Array, biases: int, starts: list[Array], *by_sums: Array) -> Array:
    """The gradient of the flat array, from those of W_ih x + b_ih and W_hh h + b_hh, or of both if they are the same.

    Those of the weights, Σ dₜ xₜᵀ, and of the biases, Σ dₜ, are one product.
    """
    ones = np.ones((len(x), 1, x.shape[2]), x.dtype)
    both = [[x, hiddens, ones]] if len(by_sums) == 1 else [[x, ones], [hiddens, ones]]
    products = [np.tensordot(d, np.concatenate(v, axis=1), ((0, 2), (0, 2))) for d, v in zip(by_sums, both)]
    inputs, last = x.shape[1], -1
    by_hh = products[-1][:, inputs if len(by_sums) == 1 else 0 : last]
    weights = [products[0][:, :inputs], by_hh, *[products[k][:, last] for k in (0, -1)[:biases]]]
    return _packed([np.matmul(by_input.T, by_sums[0]), *starts, *weights])


def _per_gate(factors: Sequence[float], hidden: int, like: Array) -> Any:
    """A column with one factor for all rows of each gate."""
    return np.repeat(np.asarray(factors, like.dtype), hidden)[:, None]


def _examples(gates: int, states: int, params: Sequence[dict[str, Any]] = ({},)) -> list[Example]:
    """A few sizes, with each set of further parameters."""
    tried: list[Sizes] = [(2, 1, 1, 2, 2), (3, 1, 2, 1, 0), (1, 2, 1, 2, 2)]
    entries = [sum(map(prod, _shapes(gates, states, sizes))) for sizes in tried]
    return [([(n,)], {"sizes": sizes, **more}) for n, sizes in zip(entries, tried) for more in params]


def _rnn(flat: Array, sizes: Sizes, nonlinearity: str = "tanh") -> Array:
    """The states h₁ … h_T: hₜ = tanh(W_ih xₜ + b_ih + W_hh hₜ₋₁ + b_hh), or relu."""
    x, (h,), by_input, by_state, biases = _arguments(1, 1, flat, sizes)
    x = np.matmul(by_input, x) + sum(biases)
    hiddens = []
    for t in range(sizes[0]):
        z = np.dot(by_state, h)
        z += x[t]
        h = np.tanh(z) if nonlinearity == "tanh" else np.maximum(z, 0)
        hiddens.append(h)
    return _stacked(hiddens)


def _rnn_vjp(g: Array, y: Array, flat: Array, sizes: Sizes, nonlinearity: str = "tanh") -> Array:
    x, (h,), by_input, by_state, _ = _arguments(1, 1, flat, sizes)
    slopes = 1 - y * y if nonlinearity == "tanh" else np.greater(y, 0).astype(y.dtype)
    back, by_sums, d = by_state.T, [], g[-1]
    for t in reversed(range(sizes[0])):
        by_sums.append(d * slopes[t])
        d = np.dot(back, by_sums[-1])
        if t:
            d += g[t - 1]
    return _gradient(x, by_input, np.concatenate([h[None], y[:-1]]), sizes[-1], [d], _stacked(by_sums[::-1]))


def _rnn_corners(flat: Array, sizes: Sizes, nonlinearity: str = "tanh") -> Array:
    """What relu gets in each step; tanh has no corner."""
    x, (h,), by_input, by_state, biases = _arguments(1, 1, flat, sizes)
    if nonlinearity == "tanh":
        return np.ones_like(flat)
    before = np.concatenate([h[None], _rnn(flat, sizes, nonlinearity)[:-1]])
    return np.matmul(by_input, x) + sum(biases) + np.matmul(by_state, before)


rnn = primitive(_rnn, _rnn_vjp, kink=_rnn_corners, examples=_examples(1, 1, [{}, {"nonlinearity": "relu"}]))


# σ(z) = ½ + ½ tanh(z / 2): with the rows of such gates halved beforehand, one tanh serves all gates of a step


class _Memory(NamedTuple):
    """What an LSTM went through: σ of all gates, g, the cells from c₀ on and their tanh, the states from h₀ on."""

    gates: Array
    candidates: Array
    cells: Array
    squashed: Array
    hiddens: Array


def _lstm_memory(flat: Array, sizes: Sizes) -> _Memory:
    x, (h, c), by_input, by_state, biases = _arguments(4, 2, flat, sizes)
    n = sizes[2]
    halves, half = _per_gate((0.5, 0.5, 1, 0.5), n, flat), np.asarray(0.5, flat.dtype)
    x, by_state = np.matmul(by_input * halves, x) + sum(biases) * halves, by_state * halves
    all_gates, candidates, cells, all_squashed, hiddens = [], [], [c], [], [h]
    for t in range(sizes[0]):
        z = np.dot(by_state, h)
        z += x[t]
        squashed = np.tanh(z)
        gates, g = squashed * half, squashed[2 * n : 3 * n]
        gates += half
        c = gates[n : 2 * n] * c
        c += gates[:n] * g
        squashed = np.tanh(c)
        h = gates[3 * n :] * squashed
        all_gates.append(gates)
        candidates.append(g)
        cells.append(c)
        all_squashed.append(squashed)
        hiddens.append(h)
    return _Memory(*map(_stacked, (all_gates, candidates, cells, all_squashed, hiddens)))


def _lstm(flat: Array, memory: _Memory, sizes: Sizes) -> Array:
    """The states h₁ … h_T, and after them the last cell c_T.

    i, f, g, o = σ, σ, tanh, σ of W_ih xₜ + b_ih + W_hh hₜ₋₁ + b_hh;  cₜ = f cₜ₋₁ + i g;  hₜ = o tanh cₜ.
    """
    return np.concatenate([memory.hiddens[1:], memory.cells[-1:]])


def _lstm_vjp(g: Array, y: Array, flat: Array, memory: _Memory, sizes: Sizes) -> Array:
    x, _, by_input, by_state, _ = _arguments(4, 2, flat, sizes)
    steps, _, n, _, biases = sizes
    by_h, by_c = g[:-1], g[-1]
    gates, candidates, cells, squashed, hiddens = memory
    # the slope of each gate, times what the gate multiplies in cₜ or hₜ; that of g, 1 - g², is four times σ's of it
    beside = np.concatenate([candidates, cells[:-1], 4 * gates[:, :n], squashed], axis=1)
    slopes = gates * (1 - gates) * beside
    to_cell, kept = gates[:, 3 * n :] * (1 - squashed * squashed), gates[:, n : 2 * n]
    back, by_sums, d = by_state.T, [], by_h[-1]
    for t in reversed(range(steps)):
        by_c = by_c + d * to_cell[t]
        by_sum = np.concatenate([by_c, by_c, by_c, d])
        by_sum *= slopes[t]
        by_sums.append(by_sum)
        by_c *= kept[t]
        d = np.dot(back, by_sum)
        if t:
            d += by_h[t - 1]
    return _gradient(x, by_input, hiddens[:-1], biases, [d, by_c], _stacked(by_sums[::-1]))


lstm = primitive(_lstm, _lstm_vjp, shared=_lstm_memory, examples=_examples(4, 2))


class _Course(NamedTuple):
    """What a GRU went through: r and z, n, the product that r multiplies, the states from h₀ on."""

    gates: Array
    candidates: Array
    products: Array
    hiddens: Array


def _gru_course(flat: Array, sizes: Sizes) -> _Course:
    x, (h,), by_input, by_state, biases = _arguments(3, 1, flat, sizes)
    n = sizes[2]
    halves, half = _per_gate((0.5, 0.5, 1), n, flat), np.asarray(0.5, flat.dtype)
    bias, beside = (b * halves for b in biases or (0, 0))
    x, by_state = np.matmul(by_input * halves, x) + bias, by_state * halves
    all_gates, candidates, products, hiddens = [], [], [], [h]
    for t in range(sizes[0]):
        z, a = x[t], np.dot(by_state, h)
        a += beside
        gates = np.tanh(z[: 2 * n] + a[: 2 * n])
        gates *= half
        gates += half
        candidate = gates[:n] * a[2 * n :]
        candidate += z[2 * n :]
        candidate = np.tanh(candidate)
        h = h - candidate
        h *= gates[n:]
        h += candidate
        all_gates.append(gates)
        candidates.append(candidate)
        products.append(a[2 * n :])
        hiddens.append(h)
    return _Course(*map(_stacked, (all_gates, candidates, products, hiddens)))


def _gru(flat: Array, course: _Course, sizes: Sizes) -> Array:
    """The states h₁ … h_T.

    r, z = σ of the first two parts of (W_ih xₜ + b_ih) + (W_hh hₜ₋₁ + b_hh), and n = tanh of the third, in which r
    multiplies the second bracket;  hₜ = (1 - z) n + z hₜ₋₁.
    """
    return course.hiddens[1:]


def _gru_vjp(g: Array, y: Array, flat: Array, course: _Course, sizes: Sizes) -> Array:
    x, _, by_input, by_state, _ = _arguments(3, 1, flat, sizes)
    steps, _, n, batch, biases = sizes
    gates, candidates, products, hiddens = course
    reset, kept = gates[:, :n], gates[:, n:]
    slopes = gates * (1 - gates)
    by_candidate = (1 - kept) * (1 - candidates * candidates)
    by_reset = by_candidate * products * slopes[:, :n]
    by_update = (hiddens[:-1] - candidates) * slopes[:, n:]
    factors = np.stack([by_reset, by_update, by_candidate * reset], axis=1)
    back, by_h, by_sums, d = by_state.T, [], [], g[-1]
    for t in reversed(range(steps)):
        by_h.append(d)
        by_sums.append((factors[t] * d).reshape((3 * n, batch)))
        d = kept[t] * d
        d += np.dot(back, by_sums[-1])
        if t:
            d += g[t - 1]
    by_hh = _stacked(by_sums[::-1])
    by_ih = np.concatenate([by_hh[:, : 2 * n], by_candidate * _stacked(by_h[::-1])], axis=1)
    return _gradient(x, by_input, hiddens[:-1], biases, [d], by_ih, by_hh)


gru = primitive(_gru, _gru_vjp, shared=_gru_course, examples=_examples(3, 1))


def run_rnn(x: Array, h: Array, weights: Sequence[Array], nonlinearity: str) -> Array:
    """The states of all steps; the weights are W_ih, W_hh, and b_ih and b_hh if there are biases."""
    return rnn(_packed([x, h, *weights]), sizes=_sizes(x, h, weights), nonlinearity=nonlinearity)


def run_lstm(x: Array, h: Array, c: Array, weights: Sequence[Array]) -> tuple[Array, Array]:
    """The states of all steps, and the last cell with a first axis of length 1."""
    y = lstm(_packed([x, h, c, *weights]), sizes=_sizes(x, h, weights))
    return y[:-1], y[-1:]


def run_gru(x: Array, h: Array, weights: Sequence[Array]) -> Array:
    """The states of all steps."""
    return gru(_packed([x, h, *weights]), sizes=_sizes(x, h, weights))


def _sizes(x: Array, h: Array, weights: Sequence[Array]) -> Sizes:
    steps, inputs, batch = x.shape
    return steps, inputs, len(h), batch, len(weights) - 2
