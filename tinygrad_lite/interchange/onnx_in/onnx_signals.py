"""Fourier transforms and recurrent layers, as ONNX defines them."""

from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import UsageError
from tinygrad_lite.interchange.onnx_in.onnx_functions import whole
from tinygrad_lite.nn import functional as F
from tinygrad_lite.nn.functional.checks import values_of


def fourier(x: Array, length: Any = None, axis: int = 1, inverse: bool = False, onesided: bool = False) -> Array:
    """Σₜ exp(∓2πi k t / n) x[t] along an axis; numbers are real, or pairs along the last axis."""
    is_half_spectrum = inverse and onesided
    size = 2 * (x.shape[axis] - 1) if is_half_spectrum else x.shape[axis]
    size = size if length is None else whole(length)
    read = size // 2 + 1 if is_half_spectrum else size
    parts = _fitted(np.moveaxis(x, axis, -2), read, -2).astype(np.float64)
    made = size // 2 + 1 if onesided and not inverse else size
    angle = 2 * np.pi / size * (np.outer(np.arange(read), np.arange(made)) % size)
    cos, sin = np.cos(angle), (-1 if inverse else 1) * np.sin(angle)
    if inverse:
        cos, sin = cos / size, sin / size
    if is_half_spectrum:  # the other half is its conjugate
        twice = np.where((np.arange(read) == 0) | (2 * np.arange(read) == size), 1, 2)[:, None]
        cos, sin = cos * twice, sin * twice
    real, imaginary = parts[..., 0], parts[..., 1] if parts.shape[-1] == 2 else None
    results = [real @ cos, -(real @ sin)]
    if imaginary is not None:
        results = [results[0] + imaginary @ sin, results[1] + imaginary @ cos]
    y = np.stack(results[:1] if is_half_spectrum else results, axis=-1)
    return np.moveaxis(y, -2, axis).astype(x.dtype)


def _fitted(x: Array, size: int, axis: int) -> Array:
    """x cut off, or followed by zeros, on an axis counted from the end."""
    if size <= x.shape[axis]:
        return x[(..., slice(size), *(slice(None),) * (-axis - 1))]
    width = [(0, 0)] * x.ndim
    width[axis] = (0, size - x.shape[axis])
    return np.pad(x, width)


def short_time_fourier(x: Array, step: Any, window: Array = None, length: Any = None, onesided: bool = True) -> Array:
    """The Fourier transforms of a signal's frames (N, length, 1 or 2), each multiplied by a window."""
    step = whole(step)
    size = whole(length) if length is not None else window.shape[0]
    count = 1 + (x.shape[1] - size) // step
    entries = np.arange(count)[:, None] * step + np.arange(size)
    frames = np.take(x, entries, axis=1)
    if window is not None:
        frames = frames * np.reshape(window, (-1, 1))
    return fourier(frames, None, 2, onesided=onesided)


def mel_weights(bins: int, length: int, rate: int, low: float, high: float, dtype: Any) -> Array:
    """Triangles, evenly spaced on the mel scale, over the bins of a spectrum."""
    count, edges = int(length) // 2 + 1, int(bins) + 2
    lowest, highest = (2595 * np.log10(1 + hertz / 700) for hertz in (low, high))
    mels = lowest + np.arange(edges) * (highest - lowest) / edges
    points = np.floor((int(length) + 1) * (700 * (10 ** (mels / 2595) - 1)) / rate).astype(int)
    weights = np.zeros((count, int(bins)))
    for k in range(int(bins)):
        left, middle, right = points[k : k + 3]
        if middle == left:
            weights[middle, k] = 1
        else:
            weights[left : middle + 1, k] = np.arange(middle - left + 1) / (middle - left)
        if right > middle:
            weights[middle:right, k] = (right - np.arange(middle, right)) / (right - middle)
    return weights.astype(dtype)


_ACTIVATIONS = {"Sigmoid": F.sigmoid, "Tanh": np.tanh, "Relu": F.relu, "Softsign": F.softsign, "Softplus": F.softplus}


def _functions(activations: Any, usual: list[str], directions: int) -> list[list[Any]]:
    names = activations or usual * directions
    if unknown := [name for name in names if name not in _ACTIVATIONS]:
        raise UsageError(f"recurrent layers know the activations {', '.join(_ACTIVATIONS)}; the file has {unknown[0]}")
    size = len(usual)
    return [[_ACTIVATIONS[name] for name in names[k * size : (k + 1) * size]] for k in range(directions)]


def _course(
    x: Array, recurrence: Array, direction: str, layout: int, lengths: Array, states: list[Any], step: Any
) -> tuple[Array, ...]:
    """All steps of a recurrent layer in each direction: the outputs, and the last states; a missing state is zeros."""
    if layout:
        x = np.swapaxes(x, 0, 1)
        states = [None if s is None else np.swapaxes(s, 0, 1) for s in states]
    directions, _, size = recurrence.shape
    states = [np.zeros((directions, x.shape[1], size), x.dtype) if s is None else s for s in states]
    times = np.arange(x.shape[0])
    outputs, ends = [], []
    for k in range(directions):
        state = tuple(s[k] for s in states)
        is_reverse = direction == "reverse" or k == 1
        steps: list[Any] = [None] * len(times)
        for t in reversed(times) if is_reverse else times:
            new = step(k, x[t], state)
            if lengths is not None:  # a sequence that has ended keeps its state, and its outputs are 0
                runs = (t < values_of(lengths))[:, None]
                new = tuple(np.where(runs, a, b) for a, b in zip(new, state))
                steps[t] = np.where(runs, new[0], 0)
            else:
                steps[t] = new[0]
            state = new
        outputs.append(np.stack(steps))
        ends.append(state)
    y = np.stack(outputs, axis=1)
    last = [np.stack(parts) for parts in zip(*ends)]
    if layout:
        return np.transpose(y, (2, 0, 1, 3)), *(np.swapaxes(s, 0, 1) for s in last)
    return y, *last


def _biases(bias: Array, weight: Array) -> tuple[Array, Array]:
    half = weight.shape[1]
    if bias is None:
        bias = np.zeros((weight.shape[0], 2 * half), weight.dtype)
    return bias[:, :half], bias[:, half:]


def lstm(
    x: Array,
    weight: Array,
    recurrence: Array,
    bias: Array = None,
    lengths: Array = None,
    h: Array = None,
    c: Array = None,
    peepholes: Array = None,
    direction: str = "forward",
    activations: Any = None,
    clip: float | None = None,
    layout: int = 0,
    input_forget: int = 0,
) -> tuple[Array, ...]:
    """Long short-term memory: all outputs, the last output and the last memory. Gates are in the order i, o, f, c."""
    directions, size = weight.shape[0], recurrence.shape[2]
    functions = _functions(activations, ["Sigmoid", "Tanh", "Tanh"], directions)
    by_input, by_state = _biases(bias, weight)
    peek = None if peepholes is None else [np.split(peepholes[k], 3) for k in range(directions)]

    def step(k: int, x: Array, state: tuple[Array, ...]) -> tuple[Array, Array]:
        h, c = state
        f, g, out = functions[k]
        sums = _clipped(x @ weight[k].T + h @ recurrence[k].T + by_input[k] + by_state[k], clip)
        i, o, forget, new = (sums[:, j * size : (j + 1) * size] for j in range(4))
        p = (0, 0, 0) if peek is None else peek[k]
        i = f(i + p[0] * c)
        forget = 1 - i if input_forget else f(forget + p[2] * c)
        c = forget * c + i * g(new)
        return f(o + p[1] * c) * out(c), c

    return _course(x, recurrence, direction, layout, lengths, [h, c], step)


def gru(
    x: Array,
    weight: Array,
    recurrence: Array,
    bias: Array = None,
    lengths: Array = None,
    h: Array = None,
    direction: str = "forward",
    activations: Any = None,
    clip: float | None = None,
    layout: int = 0,
    linear_before_reset: int = 0,
) -> tuple[Array, ...]:
    """Gated recurrent units: all outputs and the last. Gates are in the order z, r, h."""
    directions, size = weight.shape[0], recurrence.shape[2]
    functions = _functions(activations, ["Sigmoid", "Tanh"], directions)
    by_input, by_state = _biases(bias, weight)

    def step(k: int, x: Array, state: tuple[Array, ...]) -> tuple[Array]:
        (h,) = state
        f, g = functions[k]
        from_input = x @ weight[k].T + by_input[k]
        gates = _clipped(from_input[:, : 2 * size] + h @ recurrence[k, : 2 * size].T + by_state[k, : 2 * size], clip)
        z, r = f(gates[:, :size]), f(gates[:, size:])
        matrix, shift = recurrence[k, 2 * size :], by_state[k, 2 * size :]
        memory = r * (h @ matrix.T + shift) if linear_before_reset else (r * h) @ matrix.T + shift
        new = g(_clipped(from_input[:, 2 * size :] + memory, clip))
        return ((1 - z) * new + z * h,)

    return _course(x, recurrence, direction, layout, lengths, [h], step)


def rnn(
    x: Array,
    weight: Array,
    recurrence: Array,
    bias: Array = None,
    lengths: Array = None,
    h: Array = None,
    direction: str = "forward",
    activations: Any = None,
    clip: float | None = None,
    layout: int = 0,
) -> tuple[Array, ...]:
    """A simple recurrent layer: all outputs and the last."""
    directions = weight.shape[0]
    functions = _functions(activations, ["Tanh"], directions)
    by_input, by_state = _biases(bias, weight)

    def step(k: int, x: Array, state: tuple[Array, ...]) -> tuple[Array]:
        sums = x @ weight[k].T + state[0] @ recurrence[k].T + by_input[k] + by_state[k]
        return (functions[k][0](_clipped(sums, clip)),)

    return _course(x, recurrence, direction, layout, lengths, [h], step)


def _clipped(x: Array, clip: float | None) -> Array:
    return x if clip is None else np.clip(x, -clip, clip)
