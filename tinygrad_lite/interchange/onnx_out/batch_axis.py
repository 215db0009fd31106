"""A batch of any size: the graphs for a few sizes are compared, and what differs is computed from the size.

The graphs must have the same nodes. A constant that differs is a size, a number made of a size (a mean divides by it),
an array that goes on in the same way for each row (the same again, or one step further), or one with the same entries
along each diagonal.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, combinations, zip_longest
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.compiler.passes.dead_code import without_dead_code
from tinygrad_lite.engine.tensor import Tensor, tensor
from tinygrad_lite.errors import InputError, UsageError
from tinygrad_lite.interchange.onnx_out.written_program import Names, Written, written
from tinygrad_lite.interchange.onnx_out.written_values import Graph, Node, number_of
from tinygrad_lite.readers.recording import Source
from tinygrad_lite.transforms.runs import name_of

Axis = int | None
_SIZES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31)
_COUNT = 4  # a formula in the size has three unknowns at most, and the fourth size tells whether it holds
_FAR = 32  # a size far from the others, where curves that agree near them part
INT = np.dtype(np.int64)


def with_any_batch(
    f: Callable[..., Any], args: Sequence[Any], axes: Sequence[Axis], names: Names
) -> tuple[Written, dict[str, list[Any]]]:
    """The graph of a function for a batch of any size, and the sizes of its inputs and results.

    Raises:
        UsageError: if what the function does depends on the size in another way.
    """
    by_size = _of_some_sizes(f, args, axes, names)
    made = list(by_size.values())
    first = made[0]
    names_there = [_names_there(first, other) for other in made]
    batch = _Batch(first.graph, list(by_size))
    dims = {
        name: [batch.dim([getattr(m, kind)[name].shape[i] for m in made]) for i in range(len(x.shape))]
        for kind in ("inputs", "results")
        for name, x in getattr(first, kind).items()
    }
    name, axis = next((name, dims[name].index("batch")) for name in first.inputs if "batch" in dims[name])
    batch.size = batch.add("Shape", name, start=axis, end=axis + 1)
    for name in list(first.graph.constants):
        arrays = [m.graph.constants[there.get(name, name)] for m, there in zip(made, names_there)]
        if not all(_same(arrays[0], x) for x in arrays):
            batch.replace(name, arrays, first.name)
    first.graph.nodes[:0] = batch.nodes
    return first, dims


def _of_some_sizes(
    f: Callable[..., Any], args: Sequence[Any], axes: Sequence[Axis], names: Names
) -> dict[int, Written]:
    """The graphs for the examples' own size, if it is more than one row, and for others."""
    own = max(_sizes_along(args, axes), default=0)
    made: dict[int, Written] = {}

    def of_size(n: int) -> Written:
        rows = [_resized(x, axis, n) for x, axis in zip(args, axes)]
        return written(f, rows, names, without_dead_code)  # others would leave out what divides by n - 1 = 1

    for n in dict.fromkeys([*([own] if own > 1 else []), *_SIZES]):
        try:
            made[n] = of_size(n)
        except Exception as error:  # of the user's function, which may need some rows
            if n == own or (n > own and isinstance(error, UsageError)):
                raise
            if n > own:
                raise UsageError(
                    f"{name_of(f)} does not take {n} rows along the batch axis ({error}), so one graph cannot serve "
                    "every size: leave out batch_axis, and export a file for each size that you need"
                ) from error
        if len(made) == _COUNT:
            break
    if max(made) < _FAR:
        with suppress(Exception):  # a table of the user's may have fewer rows than that
            made[_FAR] = of_size(_FAR)
    return made


def _sizes_along(args: Sequence[Any], axes: Sequence[Axis]) -> Iterator[int]:
    for x, axis in zip(args, axes):
        for shape in map(np.shape, trees.leaves(x)):
            if axis is not None and shape:
                if not -len(shape) <= axis < len(shape) or not shape[axis]:
                    raise InputError(f"batch_axis: an example of shape {shape} has no rows along axis {axis}")
                yield shape[axis]


def _resized(x: Any, axis: Axis, size: int) -> Any:
    """An argument whose arrays repeat their rows up to this many."""

    def resized(leaf: Any) -> Any:
        if axis is None or not np.ndim(leaf):
            return leaf
        array = leaf.numpy() if isinstance(leaf, Tensor) else leaf
        array = np.take(array, np.arange(size) % array.shape[axis], axis)
        return tensor(array, leaf.requires_grad) if isinstance(leaf, Tensor) else array

    return trees.map_leaves(resized, x)


def _names_there(a: Written, b: Written) -> dict[str, str]:
    """The names in another graph of the same function: a run may name a parameter anew.

    Raises:
        UsageError: if the graphs have other operators.
    """
    there = {name: name for name in a.inputs}
    source = None
    for node, other in zip_longest(a.graph.nodes, b.graph.nodes):
        source = next((x.source for x in (node, other) if x and x.source), source)
        if (
            not (node and other)
            or (node.operator, node.attributes) != (other.operator, other.attributes)
            or len(node.inputs) != len(other.inputs)
            or any(there.setdefault(x, y) != y for x, y in zip(node.inputs, other.inputs))
        ):
            _refuse(a.name, source, "does different operations for a different size of the batch")
        there.update(zip(node.results, other.results))
    return there


def _refuse(name: str, source: Source | None, problem: str) -> None:
    where = f" at {source}" if source else ""
    raise UsageError(
        f"{name}{where} {problem}, so one graph cannot serve every size: leave out batch_axis, and export a file for "
        "each size that you need"
    )


def _same(a: Any, b: Any) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


class _Batch:
    """What is computed from the size of a batch.

    Attributes:
        size: the name of the size, an array of one entry.
        nodes: the nodes that compute, to run before all others.
    """

    size: str

    def __init__(self, graph: Graph, sizes: Sequence[int]) -> None:
        self._graph = graph
        self._sizes = np.array(sizes)
        self.nodes: list[Node] = []

    def add(self, operator: str, *inputs: Any, **attributes: Any) -> str:
        self._graph.source = None
        name = self._graph.add(operator, *inputs, name="batch", **attributes)
        self.nodes.append(self._graph.nodes.pop())
        return name

    def dim(self, sizes: Sequence[int]) -> Any:
        """A size of an axis, or the name of one that varies; None for one that has no name."""
        if len(set(sizes)) == 1:
            return sizes[0]
        line = self._line([np.array(n) for n in sizes])
        return line and ("batch" if line == (1, 0) else f"{line[0]}*batch+{line[1]}")

    def _line(self, arrays: Sequence[Any]) -> tuple[Any, Any] | None:
        """The whole numbers p and q of p · size + q."""
        a, b = self._sizes[:2]
        rest = (arrays[1] - arrays[0]) % (b - a)
        slope = (arrays[1] - arrays[0]) // (b - a)
        start = arrays[0] - slope * a
        fits = not np.any(rest) and all(np.array_equal(slope * n + start, x) for n, x in zip(self._sizes, arrays))
        return (slope, start) if fits else None

    def replace(self, name: str, arrays: Sequence[Any], owner: str) -> None:
        """Compute a constant from the size."""
        dtype = self._graph.stored.pop(name, arrays[0].dtype)
        del self._graph.constants[name]
        if len({x.shape for x in arrays}) > 1:
            made = self._rows(arrays, dtype) or self._diagonals(arrays, dtype)
        else:
            made = self._sizes_of(arrays, dtype) or self._number(arrays, dtype)
        if made is None:
            source = next(node.source for node in self._graph.nodes if name in node.inputs)
            _refuse(
                owner,
                source,
                "computes with numbers that depend on the size of the batch in a way that was not recognised",
            )
        self.nodes.append(Node("Identity", (str(made),), (name,), {}))

    def _sizes_of(self, arrays: Sequence[Any], dtype: Any) -> str | None:
        """Whole numbers on a straight line."""
        line = self._line([x.astype(INT) for x in arrays]) if arrays[0].dtype.kind in "iu" else None
        if line is None:
            return None
        made = self.add("Add", self.add("Mul", self.size, np.array(line[0], INT)), np.array(line[1], INT))
        return self._cast(made if arrays[0].ndim else self.add("Squeeze", made, [0]), dtype)

    def _cast(self, name: str, dtype: Any) -> str:
        return self.add("Cast", name, to=number_of(dtype))

    def _number(self, arrays: Sequence[Any], dtype: Any) -> str | None:
        """A quotient of polynomials of the size or its root, for a number or for an array of equal ones."""
        kind = arrays[0].dtype.kind
        if kind not in "iuf" or any(x.size == 0 or np.any(x != x.flat[0]) for x in arrays):
            return None
        values, is_whole = np.array([x.flat[0] for x in arrays], float), kind != "f"
        digits = np.finfo(float if is_whole else arrays[0].dtype).eps
        terms, is_root = self._quotient(values, digits), False
        if terms is None and np.all(values > 0):
            with np.errstate(over="ignore", under="ignore"):
                squares = values**2
            terms, is_root = self._quotient(squares, 2 * digits), True
        if terms is None:
            return None
        size = self._cast(self.size if arrays[0].ndim else self.add("Squeeze", self.size, [0]), np.float64)
        made = self.add("Div", *(self._polynomial(size, part) for part in np.split(terms, 2)))
        made = self.add("Sqrt", made) if is_root else made
        made = self._cast(self.add("Round", made) if is_whole else made, dtype)
        return self.add("Expand", made, list(arrays[0].shape)) if arrays[0].ndim else made

    def _polynomial(self, size: str, factors: Any) -> str:
        """The value with these factors of 1, of the size and of its square."""
        last, *others = np.trim_zeros(factors, "b")[::-1]
        made = self._graph.constant(last)
        for factor in others:
            made = self.add("Add", self.add("Mul", made, size), factor)
        return made

    def _quotient(self, values: Any, digits: float) -> Any:
        """Factors of 1, of the size and of its square, above a line and below it, as few as make these values.

        Values with few digits lie on many curves, so that few of the factors may be real, and one more if all are
        whole.
        """
        largest, limits = np.max(np.abs(values)), np.finfo(float)
        if not limits.tiny / digits < largest < limits.max * digits:
            return None  # what is next to overflow or underflow has lost its digits
        most = 4 if digits < 1e-12 else 3 if digits < 1e-6 else 2
        powers = self._sizes.astype(float)[:, None] ** np.arange(3)
        columns = np.concatenate([powers, -values[:, None] * powers], axis=1)
        columns /= np.max(np.abs(columns), axis=1, keepdims=True)
        few = chain.from_iterable(combinations(range(6), count) for count in (2, 3))
        with_four = [(0, 1, 3, 4)] if most > 2 else []  # the sizes determine straight lines only
        for places in map(list, chain(few, with_four)):
            if places[0] > 2 or places[-1] < 3:
                continue  # nothing would be above the line, or below it
            scale = np.max(np.abs(columns[:, places]), axis=0)
            terms = np.zeros(6)
            terms[places] = np.linalg.svd(columns[:, places] / scale)[2][-1] / scale
            if not np.all(terms[places]):
                continue
            terms /= np.min(np.abs(terms[places]))
            for candidate in (np.rint(terms), *([terms] if len(places) <= most else [])):
                above, below = powers @ candidate[:3], powers @ candidate[3:]
                if np.all(below) and np.allclose(above / below, values, rtol=8 * digits, atol=0):
                    return candidate
        return None

    def _rows(self, arrays: Sequence[Any], dtype: Any) -> str | None:
        """An array whose rows go on as they began."""
        shapes = [np.array(x.shape) for x in arrays]
        varying = [k for k in range(arrays[0].ndim) if len({x.shape[k] for x in arrays}) > 1]
        if len(varying) != 1 or self._line(shapes) is None:
            return None
        (k,) = varying
        start, longest = np.take(arrays[0], [0], k), max(arrays, key=np.size)
        steps = None
        if not np.array_equal(np.broadcast_to(start, longest.shape), longest) and start.dtype.kind in "iuf":
            steps = np.take(longest, [1], k) - start
        for x in arrays:
            rows = np.arange(x.shape[k]).reshape([-1 if i == k else 1 for i in range(x.ndim)])
            wanted = np.broadcast_to(start, x.shape) if steps is None else start + rows * steps
            if not np.array_equal(wanted, x):
                return None
        shape = self._sizes_of(shapes, INT)
        if steps is None:
            return self.add("Expand", start.astype(dtype), str(shape))
        count = self.add("Squeeze", self.add("Slice", str(shape), [k], [k + 1]), [0])
        along = self.add("Range", np.array(0, INT), count, np.array(1, INT))
        along = self._cast(self.add("Unsqueeze", along, [i for i in range(arrays[0].ndim) if i != k]), dtype)
        return self.add("Add", self.add("Mul", along, steps.astype(dtype)), start.astype(dtype))

    def _diagonals(self, arrays: Sequence[Any], dtype: Any) -> str | None:
        """A square array that is the same along each diagonal and far from the main one, such as `np.eye(size)`."""
        if any(x.shape != (n, n) for x, n in zip(arrays, self._sizes)):
            return None
        longest = int(np.max(self._sizes))
        largest = next(x for x in arrays if len(x) == longest)
        lines = np.concatenate([largest[:0:-1, 0], largest[0]])  # from below the main diagonal to above it
        reach = longest - 3  # two more diagonals must be as the last ones
        table = lines[longest - 1 - reach : longest + reach]
        steps = [np.clip(np.arange(n) - np.arange(n)[:, None], -reach, reach) for n in self._sizes]
        if reach < 1 or not all(np.array_equal(table[step + reach], x) for step, x in zip(steps, arrays)):
            return None
        along = self.add("Range", np.array(0, INT), self.add("Squeeze", self.size, [0]), np.array(1, INT))
        step = self.add("Sub", along, self.add("Unsqueeze", along, [1]))
        step = self.add("Clip", step, np.array(-reach, INT), np.array(reach, INT))
        return self.add("Gather", table.astype(dtype), self.add("Add", step, np.array(reach, INT)))
