"""Fourier transforms by the loops within NumPy, line by line along an axis."""

from collections.abc import Callable, Mapping
from functools import partial
from math import sqrt
from typing import Any

import numpy as np

from tinygrad_lite.compiler.native import ufuncs
from tinygrad_lite.compiler.native.emission import STORED, Emitter, loops
from tinygrad_lite.compiler.native.memory import Layout
from tinygrad_lite.compiler.program import Instruction, Variable
from tinygrad_lite.engine.op import Op
from tinygrad_lite.ops.linear import fourier

# in a version of NumPy that has its loops elsewhere, they are NumPy calls
_LOOPS = getattr(np.fft, "_pocketfft_umath", None)

_NAMES: dict[Op, Callable[[int], str]] = {
    fourier.fft: lambda n: "fft",
    fourier.ifft: lambda n: "ifft",
    fourier.rfft: lambda n: "rfft_n_odd" if n % 2 else "rfft_n_even",
    fourier.irfft: lambda n: "irfft",
}
"""The names of NumPy's loops, by how many numbers they transform."""
OPERATIONS = tuple(_NAMES)
"""The operations that are such loops."""
_SCALES: dict[Any, Callable[[int], float]] = {
    "forward": lambda n: 1 / n,
    "ortho": lambda n: 1 / sqrt(n),
    "backward": lambda n: 1.0,
    None: lambda n: 1.0,
}


def is_known(call: Instruction) -> bool:
    """Whether native code can make the call."""
    (x,) = call.inputs
    if not isinstance(x, Variable) or call.has_computed_params or not (x.size and call.result.size):
        return False
    if call.params.get("norm") not in _SCALES or call.params.keys() - {"n", "axis", "norm"}:
        return False
    return isinstance(call.params.get("axis", -1), int) and _routine(call) is not None


def _axis(call: Instruction) -> int:
    return int(call.params.get("axis", -1)) % len(call.result.shape)


def _count(call: Instruction) -> int:
    """How many numbers are transformed; real ones have half as many frequencies."""
    of = call.inputs[0] if call.op is fourier.rfft and call.params.get("n") is None else call.result
    return int(call.params.get("n") or of.shape[_axis(call)])


def _routine(call: Instruction) -> tuple[int, int] | None:
    """The addresses of the loop and of its data; None if NumPy has none for these dtypes."""
    loop = getattr(_LOOPS, _NAMES[call.op](_count(call)), None)
    if not isinstance(loop, np.ufunc) or loop.nargs != 3:
        return None
    read, made = call.inputs[0].dtype, call.result.dtype
    return ufuncs.loop(loop, (read, np.empty(0, made).real.dtype, made))


def lower(lowering: Any, call: Instruction) -> None:
    """Add the call to the work of a segment."""
    lowering.whole(call, partial(_write, call=call))


def _write(emitter: Emitter, writer: Any, *, call: Instruction, layouts: Mapping[Variable, Layout]) -> None:
    (x,), y, axis, n = call.inputs, call.result, _axis(call), _count(call)
    norm = call.params.get("norm")
    scale = _SCALES[fourier.BACK[norm] if call.op in (fourier.ifft, fourier.irfft) else norm](n)
    part = np.empty(0, y.dtype).real.dtype
    routine = _routine(call)
    assert routine is not None  # or it would not be known
    factor = emitter.first(f"alloca {STORED[part]}, align 16")
    emitter.store(emitter.number(part, scale), factor)
    around = [i for i in range(len(y.shape)) if i != axis]
    arrays = [(layouts[z], z.dtype.itemsize) for z in (x, y)]
    (lines_read, step_read), (lines_made, step_made) = (
        (size * layout.strides[around[-1]] if around else 0, size * layout.strides[axis]) for layout, size in arrays
    )
    with loops(emitter, [y.shape[i] for i in around[:-1]]) as indices:
        read, made = (
            emitter.address(
                layout.root.dtype,
                writer.base(layout.root),
                emitter.position(layout.offset, zip(indices, [layout.strides[i] for i in around])),
            )
            for layout, _ in arrays
        )
        counts = [y.shape[around[-1]] if around else 1, x.shape[axis], y.shape[axis]]
        steps = [lines_read, 0, lines_made, step_read, step_made]
        ufuncs.call(emitter, writer, routine, [read, factor, made], counts, steps)
