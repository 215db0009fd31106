"""Recurrent layers, and their single steps as cells. Inputs and states of other shapes raise `ShapeError`."""

from collections.abc import Sequence
from math import sqrt
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor, tensor
from tinygrad_lite.errors import InputError, ShapeError, UsageError
from tinygrad_lite.foundation.settings import share
from tinygrad_lite.nn import functional, init
from tinygrad_lite.nn.functional.checks import check_counts, shape_of
from tinygrad_lite.nn.module import Module
from tinygrad_lite.nn.utils.rnn import PackedSequence
from tinygrad_lite.ops.networks import recurrence

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell"]


class _Weights(Module):
    """What layers and cells share: weights of all gates below one another, from U(-1/√hidden, 1/√hidden)."""

    _gates = 1
    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor
    bias_hh: Tensor

    def _draw(self, suffix: str, inputs: int, hidden: int, projected: int, bias: bool, dtype: Any, rng: Any) -> None:
        """Make the parameters whose names end in this suffix; `_parts` has the names before it."""
        rows = self._gates * hidden
        shapes: dict[str, Any] = {"weight_ih": (rows, inputs), "weight_hh": (rows, projected or hidden)}
        shapes |= {"bias_ih": rows, "bias_hh": rows} if bias else {}
        shapes |= {"weight_hr": (projected, hidden)} if projected else {}
        bound = 1 / sqrt(hidden)
        self._parts = tuple(shapes)
        for name, shape in shapes.items():
            drawn = init.uniform(shape, -bound, bound, dtype=dtype, rng=rng)
            setattr(self, name + suffix, tensor(drawn, requires_grad=True))

    def _check(self, x: Array, role: str, rank: int, features: int) -> None:
        """Raise unless an input has this rank, or one axis less if there is no batch, and this many features."""
        if len(shape_of(x)) not in (rank - 1, rank) or shape_of(x)[-1] != features:
            raise ShapeError(
                f"{self.summary()} needs {role} of {rank} axes, or of {rank - 1} without a batch, the last of them of "
                f"{features} entries; got shape {shape_of(x)}"
            )

    def _check_state(self, role: str, state: Array, needed: tuple[int, ...]) -> None:
        if shape_of(state) != needed:
            raise ShapeError(f"{self.summary()} needs {role} of shape {needed} for this input; got {shape_of(state)}")

    def _pair(self, hx: Any) -> Any:
        """The two parts of an LSTM's state."""
        if hx is None:
            return None, None
        if not isinstance(hx, (tuple, list)) or len(hx) != 2:
            raise UsageError(f"{self.summary()} takes a pair (h, c) as its state, got {type(hx).__name__}")
        return hx


def _check_nonlinearity(nonlinearity: str) -> None:
    if nonlinearity not in ("tanh", "relu"):
        raise InputError(f"nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")


class _Layers(_Weights):
    """Layers over time: each reads the results of the one below, in one direction or in both."""

    _states: tuple[str, ...] = ("h_0",)
    proj_size = 0
    weight_hh_l0: Tensor

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: Any = np.float64,
        rng: init.Rng = None,
    ) -> None:
        kind = type(self).__name__
        check_counts(kind, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        if not isinstance(self.proj_size, (int, np.integer)) or not 0 <= self.proj_size < hidden_size:
            raise InputError(f"{kind} needs a proj_size below its hidden_size {hidden_size}, got {self.proj_size}")
        share("dropout", dropout)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = dropout
        self.bidirectional = bidirectional
        self._rng = init.generator(rng)
        self._suffixes = ("", "_reverse") if bidirectional else ("",)
        size = self.proj_size or hidden_size
        for layer in range(num_layers):
            inputs = len(self._suffixes) * size if layer else input_size
            for suffix in self._suffixes:
                self._draw(f"_l{layer}{suffix}", inputs, hidden_size, self.proj_size, bias, dtype, self._rng)

    def _forward(self, x: Array, initial: Sequence[Array]) -> tuple[Array, list[Array]]:
        """The last layer's results of all steps, and the last states of all layers and directions."""
        if isinstance(x, PackedSequence):
            return x.through(self, initial)
        x, states, has_batch = self._batched(x, initial)
        x = np.transpose(x, (1, 2, 0) if self.batch_first and has_batch else (0, 2, 1))  # steps, features, batch
        lasts: list[Sequence[Array]] = []
        for layer in range(self.num_layers):
            x = functional.dropout(x, self.dropout, self.training, rng=self._rng) if layer else x
            directions = []
            for suffix in self._suffixes:
                weights = [getattr(self, f"{name}_l{layer}{suffix}") for name in self._parts]
                start = [state[len(lasts)].T for state in states]
                y, *last = self._direction(x[::-1] if suffix else x, start, weights)
                directions.append(y[::-1] if suffix else y)
                lasts.append([y[-1:], *last])
            x = np.concatenate(directions, axis=1) if self.bidirectional else directions[0]
        y = np.transpose(x, (2, 0, 1) if self.batch_first and has_batch else (0, 2, 1))
        last = [np.swapaxes(np.concatenate(all_) if len(lasts) > 1 else all_[0], 1, 2) for all_ in zip(*lasts)]
        return (y, last) if has_batch else (y[:, 0], [state[:, 0] for state in last])

    def _batched(self, x: Array, initial: Sequence[Array]) -> tuple[Array, Sequence[Array], bool]:
        """The input and the first states with a batch axis, and whether they came with one."""
        self._check(x, "an input", 3, self.input_size)
        has_batch = len(shape_of(x)) == 3
        batch = [shape_of(x)[not self.batch_first]] if has_batch else []
        states = []
        for name, state, size in zip(self._states, initial, (self.proj_size or self.hidden_size, self.hidden_size)):
            needed = (self.num_layers * len(self._suffixes), *batch, size)
            state = np.zeros(needed, self.weight_hh_l0.dtype) if state is None else state
            self._check_state(name, state, needed)
            states.append(state if has_batch else state[:, None])
        if not shape_of(x)[bool(batch) and self.batch_first]:
            raise ShapeError(f"{self.summary()} needs at least one step, got an input of shape {shape_of(x)}")
        return (x if has_batch else x[:, None]), states, has_batch

    def _direction(self, x: Array, start: Sequence[Array], weights: Sequence[Array]) -> Sequence[Array]:
        """The states of all steps of a layer in one direction, and an LSTM's last cell; the batch is the last axis."""
        raise NotImplementedError


class RNN(_Layers):
    """Elman's network: hₜ = tanh(W_ih xₜ + b_ih + W_hh hₜ₋₁ + b_hh), or relu.

    Takes an input (steps, batch, input_size), or (batch, steps, input_size) if `batch_first`, or (steps, input_size),
    and a first state (layers · directions, batch, hidden_size), zero by default. Returns the states of the last layer,
    (steps, batch, directions · hidden_size), and the last states of all layers. In training, `dropout` acts on what
    goes from a layer to the next. Source: Elman (1990), Finding structure in time.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> output, h_n = tg.nn.RNN(3, 5, num_layers=2, rng=0)(np.ones((7, 4, 3)))
        >>> output.shape, h_n.shape
        ((7, 4, 5), (2, 4, 5))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: Any = np.float64,
        rng: init.Rng = None,
    ) -> None:
        _check_nonlinearity(nonlinearity)
        settings = num_layers, bias, batch_first, dropout, bidirectional
        super().__init__(input_size, hidden_size, *settings, dtype=dtype, rng=rng)
        self.nonlinearity = nonlinearity

    def forward(self, input: Array, hx: Array = None) -> tuple[Array, Array]:
        y, (h,) = self._forward(input, [hx])
        return y, h

    def _direction(self, x: Array, start: Sequence[Array], weights: Sequence[Array]) -> Sequence[Array]:
        return [recurrence.run_rnn(x, start[0], weights, self.nonlinearity)]


class LSTM(_Layers):
    """Long short-term memory: a cell c that gates i, f and o write, keep and show.

    i, f, g, o = σ, σ, tanh, σ of the four parts of W_ih xₜ + b_ih + W_hh hₜ₋₁ + b_hh;
    cₜ = f cₜ₋₁ + i g;  hₜ = o tanh cₜ, or with a `proj_size` W_hr (o tanh cₜ).

    Takes and returns what `RNN` does, but a pair (h, c) as state: first `(h_0, c_0)`, in the end `(h_n, c_n)`.
    Source: Hochreiter and Schmidhuber (1997), Long short-term memory; Sak et al. (2014) for the projection.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> output, (h_n, c_n) = tg.nn.LSTM(3, 5, bidirectional=True, rng=0)(np.ones((7, 4, 3)))
        >>> output.shape, h_n.shape, c_n.shape
        ((7, 4, 10), (2, 4, 5), (2, 4, 5))
    """

    _gates = 4
    _states = ("h_0", "c_0")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        dtype: Any = np.float64,
        rng: init.Rng = None,
    ) -> None:
        if proj_size != 0:
            self.proj_size = proj_size
        settings = num_layers, bias, batch_first, dropout, bidirectional
        super().__init__(input_size, hidden_size, *settings, dtype=dtype, rng=rng)

    def forward(self, input: Array, hx: tuple[Array, Array] | None = None) -> tuple[Array, tuple[Array, Array]]:
        y, (h, c) = self._forward(input, self._pair(hx))
        return y, (h, c)

    def _direction(self, x: Array, start: Sequence[Array], weights: Sequence[Array]) -> Sequence[Array]:
        if not self.proj_size:
            return recurrence.run_lstm(x, start[0], start[1], weights)
        (h, c), (by_input, by_state, *biases, projection), states = start, weights, []
        x = np.matmul(by_input, x)
        for bias in biases:
            x = x + bias[:, None]
        for t in range(len(x)):
            h, c = _lstm_step(np.matmul(by_state, h) + x[t], c, axis=0)
            h = np.matmul(projection, h)
            states.append(h)
        return np.stack(states), c[None]


class GRU(_Layers):
    """Gated recurrent unit: a state that a gate z keeps, and a gate r resets.

    r, z = σ of the first two parts of (W_ih xₜ + b_ih) + (W_hh hₜ₋₁ + b_hh), n = tanh of the third part, in which r
    multiplies the second bracket;  hₜ = (1 - z) n + z hₜ₋₁.

    Takes and returns what `RNN` does. Source: Cho et al. (2014), Learning phrase representations using RNN
    encoder-decoder; with r outside the product as in PyTorch.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> output, h_n = tg.nn.GRU(3, 5, batch_first=True, rng=0)(np.ones((4, 7, 3)))
        >>> output.shape, h_n.shape
        ((4, 7, 5), (1, 4, 5))
    """

    _gates = 3

    def forward(self, input: Array, hx: Array = None) -> tuple[Array, Array]:
        y, (h,) = self._forward(input, [hx])
        return y, h

    def _direction(self, x: Array, start: Sequence[Array], weights: Sequence[Array]) -> Sequence[Array]:
        return [recurrence.run_gru(x, start[0], weights)]


class _Cell(_Weights):
    """One step of a recurrent layer."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, *, dtype: Any = np.float64, rng: init.Rng = None
    ) -> None:
        check_counts(type(self).__name__, input_size=input_size, hidden_size=hidden_size)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        self._draw("", input_size, hidden_size, 0, bias, dtype, init.generator(rng))

    def _shares(self, input: Array, hx: Array) -> tuple[Array, Array, Array]:
        """The contributions of the input and of the state to the gates, and the state, zero by default."""
        self._check(input, "an input", 2, self.input_size)
        weight, biases = self.weight_hh, (self.bias_ih, self.bias_hh) if self.bias else (None, None)
        needed = (*shape_of(input)[:-1], self.hidden_size)
        hx = np.zeros(needed, weight.dtype) if hx is None else hx
        self._check_state("a state", hx, needed)
        return functional.linear(input, self.weight_ih, biases[0]), functional.linear(hx, weight, biases[1]), hx


class RNNCell(_Cell):
    """One step of `RNN`: h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu.

    Takes x (batch, input_size) or (input_size) and h (batch, hidden_size), zero by default; returns h'.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.nn.RNNCell(3, 5, rng=0)(np.ones((4, 3))).shape
        (4, 5)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        dtype: Any = np.float64,
        rng: init.Rng = None,
    ) -> None:
        _check_nonlinearity(nonlinearity)
        super().__init__(input_size, hidden_size, bias, dtype=dtype, rng=rng)
        self.nonlinearity = nonlinearity

    def forward(self, input: Array, hx: Array = None) -> Array:
        by_input, by_state, _ = self._shares(input, hx)
        z = by_input + by_state
        return np.tanh(z) if self.nonlinearity == "tanh" else functional.relu(z)


class LSTMCell(_Cell):
    """One step of `LSTM`, on a pair (h, c), zero by default; returns the next pair.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> h, c = tg.nn.LSTMCell(3, 5, rng=0)(np.ones((4, 3)))
        >>> h.shape, c.shape
        ((4, 5), (4, 5))
    """

    _gates = 4

    def forward(self, input: Array, hx: tuple[Array, Array] | None = None) -> tuple[Array, Array]:
        h, c = self._pair(hx)
        by_input, by_state, h = self._shares(input, h)
        c = np.zeros_like(by_state[..., : self.hidden_size]) if c is None else c
        self._check_state("a cell", c, shape_of(h))
        return _lstm_step(by_input + by_state, c, axis=-1)


class GRUCell(_Cell):
    """One step of `GRU`; takes and returns what `RNNCell` does.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.nn.GRUCell(3, 5, rng=0)(np.ones((4, 3))).shape
        (4, 5)
    """

    _gates = 3

    def forward(self, input: Array, hx: Array = None) -> Array:
        by_input, by_state, h = self._shares(input, hx)
        (r, z, n), (hr, hz, hn) = (np.split(part, 3, axis=-1) for part in (by_input, by_state))
        z = functional.sigmoid(z + hz)
        return (1 - z) * np.tanh(n + functional.sigmoid(r + hr) * hn) + z * h


def _lstm_step(gates: Array, c: Array, axis: int) -> tuple[Array, Array]:
    """The next h and c from the sums behind the four gates, which lie one after another on an axis."""
    i, f, g, o = np.split(gates, 4, axis=axis)
    c = functional.sigmoid(f) * c + functional.sigmoid(i) * np.tanh(g)
    return functional.sigmoid(o) * np.tanh(c), c
