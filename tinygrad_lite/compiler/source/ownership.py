"""Ownership: which results are arrays of their own, that a later result may overwrite, and which may share memory.

A single recording does not tell: reshape copies an array in one order in memory and views another, and the sum's
gradient is one number that looks like an array. So an operation counts as making an array only if it always does.
"""

import sys
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

import numpy as np

from tinygrad_lite import ops
from tinygrad_lite.compiler.program import Instruction, Variable
from tinygrad_lite.engine.op import Op
from tinygrad_lite.engine.registry import is_registered
from tinygrad_lite.ops import casting
from tinygrad_lite.ops.arithmetic import selection
from tinygrad_lite.ops.linear import contraction, linalg
from tinygrad_lite.ops.requirements import refuse_where
from tinygrad_lite.ops.shapes import indexing, shaping, windows

_SHARING = frozenset(
    {
        *(casting.real, casting.imag, casting.real_if_close, selection.stop_gradient, refuse_where),
        *(shaping.reshape, shaping.ravel, shaping.expand_dims, shaping.squeeze, shaping.transpose, shaping.swapaxes),
        *(shaping.broadcast_to, windows.windows, linalg.matrix_power),
    }
)

_COPYING = np.repeat, np.sort, np.partition
"""NumPy's functions, called as they are, that always make an array."""


def is_plain_ufunc(call: Instruction) -> bool:
    """Whether a call is a ufunc that computes entry by entry, without further settings."""
    return isinstance(call.op.forward, np.ufunc) and not call.op.forward.signature and not call.params


def makes_an_array(call: Instruction) -> bool:
    """Whether the result is always an array of its own."""
    return bool(call.result.shape) and not shared_with(call)


def shared_with(call: Instruction) -> Sequence[Variable]:
    """The variables whose memory the result may share: all that are read, unless the operation makes an array."""
    is_numpys = isinstance(call.op.forward, np.ufunc) or call.op.forward in _COPYING
    always_makes = is_numpys or (call.op in _tables() and not _may_share(call))
    return () if always_makes and call.view_of is None else call.reads


def _may_share(call: Instruction) -> bool:
    if call.op is indexing.getitem:
        index = call.params["index"]
        return all(map(_is_plain, index if isinstance(index, tuple) else (index,)))
    return call.op in _SHARING or (call.op is contraction.einsum and len(call.inputs) == 1)


def _is_plain(part: Any) -> bool:
    """Whether a part of an index chooses entries by where they lie, not by a list of them."""
    return part is None or part is Ellipsis or isinstance(part, (slice, int, np.integer))


@cache
def _tables() -> frozenset[Op]:
    """The operations of our own tables; a user's operation may return anything."""
    ours = f"{ops.__name__}."
    shelves = [module for name, module in sys.modules.items() if name.startswith(ours)]
    return frozenset(x for shelf in shelves for x in vars(shelf).values() if isinstance(x, Op) and is_registered(x))


def last_uses(items: Sequence[Any], ends: Collection[Variable]) -> dict[Variable, int]:
    """The position of the last item that reads each variable, or what may share its memory; the end if it leaves.

    Args:
        items: instructions, and loops, of which each result may share the memory of all that the loop reads.
    """
    last: dict[Variable, int] = {}
    for position, item in enumerate(items):
        for x in item.reads:
            last[x] = position
    for x in ends:
        last[x] = len(items)
    for item in reversed(items):
        is_instruction = isinstance(item, Instruction)
        results = [item.result] if is_instruction else [x for values in item.made.values() for x in values]
        latest = max((last[x] for x in results if x in last), default=-1)
        for x in (shared_with(item) if is_instruction else item.reads) if latest >= 0 else ():
            last[x] = max(last.get(x, 0), latest)
    return last
