"""Where the time of a training step goes: NumPy's own work in each operation, and the rest.

    python -m benchmarks.profile

times the forward and the derivatives of every operation of one step on its own arrays, without any tensors, and
compares their sum with the whole step. It also counts the bytecodes that Python runs in a step, function by function,
which are the same on each machine.
"""

import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np

from benchmarks.timing import microseconds
from benchmarks.training_step import by_hand, data, our_loss, ours, parameters
from tinygrad_lite.engine.backward import history
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.foundation.sums import total_down_to

REPETITIONS = 3000


def work(loss: Tensor) -> list[tuple[str, float, float]]:
    """For each operation behind a loss: its name, and the microseconds of its forward and of its derivatives."""
    rows = []
    for node in history([loss]):
        op, arrays, params, y = node.op, node.arrays, node.params, node.data
        g = np.ones_like(y)[()]

        def forward(op: Any = op, arrays: Any = arrays, params: Any = params) -> Any:
            return op.forward(*arrays, **params)

        def backward(
            op: Any = op, arrays: Any = arrays, params: Any = params, y: Any = y, g: Any = g, node: Any = node
        ) -> None:
            for vjp, x in zip(op.vjps, node.inputs):
                if isinstance(x, Tensor) and x.requires_grad:
                    contribution = vjp(g, y, *arrays, **params)
                    if contribution.shape != x.shape:
                        total_down_to(x.shape, contribution)

        rows.append((op.name, microseconds(forward, REPETITIONS), microseconds(backward, REPETITIONS)))
    return rows


def table(title: str, sizes: list[int], rows: int, dtype: type) -> str:
    x, y = data(sizes, rows, dtype)
    step = ours(parameters(sizes, dtype), x, y, 0.01)
    hand = by_hand(parameters(sizes, dtype), x, y, 0.01)
    for warm_up in (step, hand):
        microseconds(warm_up, 100)
    _, compute_loss = our_loss(parameters(sizes, dtype), x, y)
    parts = work(compute_loss())
    weights = [part for layer in parameters(sizes, dtype) for part in layer]
    update = microseconds(lambda: [w + -0.01 * w for w in weights], REPETITIONS)
    numpy_work = sum(forward + backward for _, forward, backward in parts) + update
    whole, by_hand_whole = microseconds(step, REPETITIONS), microseconds(hand, REPETITIONS)
    lines = [f"### {title}", "", "| | forward, µs | backward, µs |", "|---|---:|---:|"]
    lines += [f"| {name} | {forward:.1f} | {backward:.1f} |" for name, forward, backward in parts]
    lines += [
        "",
        f"NumPy's work takes {numpy_work - update:.0f} µs in these and {update:.0f} µs in the update. The whole step "
        f"takes {whole:.0f} µs, so {whole - numpy_work:.0f} µs are left for the rest. By hand, the step takes "
        f"{by_hand_whole:.0f} µs.",
    ]
    return "\n".join(lines)


def bytecodes(step: Callable[[], Any]) -> Counter[str]:
    """How many bytecodes of Python each function runs in a step."""
    counts: Counter[str] = Counter()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            counts[frame.f_code.co_qualname] += 1
        return trace

    step()
    sys.settrace(trace)
    try:
        step()
    finally:
        sys.settrace(None)
    return counts


def python_table(sizes: list[int], rows: int) -> str:
    x, y = data(sizes, rows, np.float64)
    counts = bytecodes(ours(parameters(sizes, np.float64), x, y, 0.01))
    by_hand_count = bytecodes(by_hand(parameters(sizes, np.float64), x, y, 0.01)).total()
    most = counts.most_common(8)
    lines = ["### The bytecodes of a step of 13-8-1", "", "| function | bytecodes |", "|---|---:|"]
    lines += [f"| `{name}` | {count:,} |" for name, count in most]
    lines += [f"| all others | {counts.total() - sum(count for _, count in most):,} |", f"| all | {counts.total():,} |"]
    return "\n".join([*lines, f"| by hand | {by_hand_count:,} |"])


def profile() -> str:
    return "\n\n".join(
        [
            python_table([13, 8, 1], 32),
            table("13-8-1, 243 rows, float64", [13, 8, 1], 243, np.float64),
            table("784-128-64-10, 128 rows, float32", [784, 128, 64, 10], 128, np.float32),
        ]
    )


if __name__ == "__main__":
    print(profile())
