"""The share of the operations that files of ONNX can hold, with first derivatives, as a page of Markdown.

    python -m benchmarks.onnx_coverage [--write docs/onnx_operations.md]

Each example of each operation is exported, run in onnxruntime and compared with NumPy, in float64 and in float32.
"""

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

import tinygrad_lite as tg
import tinygrad_lite.distributions
import tinygrad_lite.ops.special
from tinygrad_lite.engine.op import Example, Op
from tinygrad_lite.engine.registry import operations
from tinygrad_lite.errors import UsageError
from tinygrad_lite.interchange.onnx_out.reasons import REASONS
from tinygrad_lite.interchange.onnx_out.written_file import model
from tinygrad_lite.interchange.onnx_out.written_program import written

SPECIAL = {tinygrad_lite.ops.special.__name__}
DIGITS = {"float64": 1e-10, "float32": 1e-6}

INTRODUCTION = """\
# What a file of ONNX can hold

This command writes the page:

```sh
python -m benchmarks.onnx_coverage --write docs/onnx_operations.md
```

It exports each operation with its first derivatives by [`tg.export_onnx`](onnx_export.md), for every example in its
declaration, runs the files in onnxruntime, and compares the results with NumPy's: to 1e-10 of the largest entry in
float64, and to 1e-6 in float32.
"""


def examples_of(op: Op) -> list[Example]:
    return list(op.examples or [([(2, 3)] * (op.arity or 2), {})])


def arguments(op: Op, example: Example, dtype: Any) -> tuple[list[Any], dict[str, Any]]:
    """Arrays for an operation, inside its domain and away from its kinks, unless it has one everywhere."""
    shapes, params = example
    params = {name: np.dtype(dtype) if name == "dtype" else x for name, x in params.items()}
    for seed in range(200):
        rng = np.random.default_rng(seed)
        arrays = [
            (x.astype(dtype) if x.dtype.kind == "f" else x)
            if isinstance(x, np.ndarray)
            else rng.uniform(*_interval(op, i), x).astype(dtype)
            for i, x in enumerate(shapes)
        ]
        try:
            with np.errstate(all="ignore"):
                gap = 1.0 if op.kink is None else np.asarray(op.kink(*arrays, **params), float)
        except np.linalg.LinAlgError:
            continue
        if np.min(np.abs(gap), initial=np.inf) > 0.05:
            break
    return arrays, params


def _interval(op: Op, i: int) -> tuple[float, float]:
    start = max(op.domain[i][0], -1.0) if op.domain else 0.0
    return start + 0.1, start + 0.9


def with_gradients(op: Op, arrays: list[Any], params: dict[str, Any]) -> Callable[..., Any]:
    """A function that returns the result of the operation, and after it the gradients, if there are any."""
    places = [
        i for i, x in enumerate(arrays) if x.dtype.kind == "f" and op.vjps and (not op.arity or op.vjps[i] is not None)
    ]
    if not places:
        return lambda *x: op(*x, **params)

    def f(*x: Any) -> Any:
        def of_variables(*variables: Any) -> Any:
            return op(*[dict(zip(places, variables)).get(i, fixed) for i, fixed in enumerate(x)], **params)

        y, pull = tg.vjp(of_variables, *[x[i] for i in places])
        return y, *pull((1.5 + np.cos(np.arange(y.size))).reshape(y.shape).astype(y.dtype))

    return f


def run(f: Callable[..., Any], arrays: list[Any]) -> list[Any]:
    """The results of a function's file in onnxruntime."""
    made = written(f, arrays)
    dims = {name: list(x.shape) for name, x in {**made.inputs, **made.results}.items()}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model(made, dims).SerializeToString(), options)
    results: list[Any] = session.run(None, dict(zip(made.inputs, arrays)))
    return results


def check(op: Op, example: Example, dtype: Any) -> None:
    """Raise an error unless the file computes what the operation and its gradients do."""
    arrays, params = arguments(op, example, dtype)
    f = with_gradients(op, arrays, params)
    for i, (a, b) in enumerate(zip(run(f, arrays), _listed(f(*arrays)), strict=True)):
        b = np.asarray(b)
        assert (a.dtype, a.shape) == (b.dtype, b.shape), f"{a.dtype}{a.shape} in place of {b.dtype}{b.shape}"
        if b.dtype.kind != "f":
            np.testing.assert_array_equal(a, b)
            continue
        tolerance = DIGITS[np.dtype(dtype).name]
        error = distance(a, b)
        if error > tolerance and np.dtype(dtype) == np.float32:
            wide = [x.astype(float) if x.dtype.kind == "f" else x for x in arrays]
            true = np.asarray(_listed(f(*wide))[i])
            # where NumPy's own float32 has lost digits, the file may lose as many
            error, tolerance = distance(a, true), tolerance + 4 * distance(b, true)
        assert error <= tolerance, f"an error of {error:.1e}"


def _listed(results: Any) -> list[Any]:
    return list(results) if isinstance(results, (tuple, list)) else [results]


def distance(a: Any, b: Any) -> float:
    """The largest difference, in units of the largest entry; infinite if NaN or infinity are elsewhere."""
    finite = np.isfinite(b)
    if not np.array_equal(np.isfinite(a), finite) or not np.array_equal(a[~finite], b[~finite], equal_nan=True):
        return np.inf
    scale = np.max(np.abs(b), initial=0, where=finite)
    return float(np.max(np.abs(np.subtract(a, b, where=finite, out=np.zeros(b.shape))), initial=0) / (scale or 1))


def reason(op: Op) -> str:
    """Why no file can hold an operation, at least for some example; empty if one can."""
    try:
        for example in examples_of(op):
            for dtype in DIGITS:
                check(op, example, dtype)
    except (AssertionError, UsageError):
        if not (text := REASONS.get(op.name) or REASONS.get(op.forward)):
            raise
        return text
    return ""


def page(reasons: dict[str, str]) -> str:
    """The page, from the reason of each operation that no file can hold."""
    groups = {
        "of NumPy's functions and of this library's own": [op for op in operations() if op.module in _modules(False)],
        "of SciPy's functions and of distributions": [op for op in operations() if op.module in _modules(True)],
    }
    lines = [INTRODUCTION]
    for title, group in groups.items():
        others = {op.name: reasons[op.name] for op in group if reasons.get(op.name)}
        count = len(group) - len(others)
        lines.append(f"**{count} of {len(group)} {title}, {100 * count / len(group):.1f} %, are equal.** The others:\n")
        lines.append("| operation | reason |\n|---|---|")
        for text in sorted(set(others.values())):
            names = sorted(name for name, other in others.items() if other == text)
            lines.append(f"| {', '.join(f'`{name}`' for name in names)} | {text} |")
        lines.append("")
    return "\n".join(lines)


def reasons_on(page: str) -> dict[str, str]:
    """The reason that a page gives for each operation that no file can hold."""
    rows = re.findall(r"^\| (`.*`) \| (.*) \|$", page, re.MULTILINE)
    return {name: text for names, text in rows for name in re.findall("`(.*?)`", names)}


def _modules(are_special: bool) -> set[str]:
    ours = {op.module for op in operations() if op.module.startswith("tinygrad_lite.")}
    return {name for name in ours if (name in SPECIAL or ".distributions." in name) is are_special}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="the page to write")
    with np.errstate(all="ignore"):
        text = page({op.name: reason(op) for op in operations()})
    if path := parser.parse_args().write:
        path.write_text(text)
    print(text)
