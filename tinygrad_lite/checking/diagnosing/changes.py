"""The ways in which the code of a gradient may have one operation in place of another.

If a line runs again and again, the change is the same each time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from tinygrad_lite.checking.diagnosing.trace import Edge, Trace
from tinygrad_lite.checking.subjects.following import content
from tinygrad_lite.engine.op import Array

Change = Callable[[Trace, int], Array]
"""What a changed operation gives, in a run whose values before it are known."""
Changed = tuple[Sequence[int], str, Change]
"""Operations, the words for a change of them, and the change."""
Source = Callable[[Trace, int], Array]
"""A value that is known before an operation."""

_BETWEEN: dict[str, tuple[str, Callable[[Array, Array], Array]]] = {
    "add": ("a sum", np.add),
    "subtract": ("a difference", np.subtract),
    "multiply": ("a product", np.multiply),
    "divide": ("a quotient", np.divide),
    "maximum": ("a maximum", np.maximum),
    "minimum": ("a minimum", np.minimum),
    "matmul": ("a matrix product", np.matmul),
}
_OF_ONE = (
    *(np.square, np.sqrt, np.exp, np.expm1, np.log, np.log1p, np.sin, np.cos, np.tan, np.sinh, np.cosh, np.tanh),
    *(np.arctan, np.abs, np.sign, np.reciprocal),
)
_OTHER_NUMBERS: tuple[Callable[[float], float], ...] = (
    lambda c: 2 * c,
    lambda c: c / 2,
    lambda c: c + 1,
    lambda c: c - 1,
    lambda c: -c,
    lambda c: 1 / c if c else c,
    lambda c: c * c,
    lambda c: c**0.5 if c > 0 else c,
)
_BESIDE: tuple[tuple[str, Callable[[Array, Array], Array]], ...] = (
    ("{} as one more factor", np.multiply),
    ("{} added", np.add),
    ("{} taken away", np.subtract),
    ("1 - {} as one more factor", lambda y, z: y * (1 - z)),
    ("{} as one more divisor", np.divide),
)
_NEAR = 50  # how many values may be mistaken for another: the ones computed closest to it
_LISTED = 4  # how many indices a sentence lists, one for each run of a line
_PRODUCTS: tuple[tuple[str, Callable[[Array, Array], Array]], ...] = (
    ("{} @ in front", lambda m, y: m @ y),
    ("{}.T @ in front", lambda m, y: m.T @ y),
    ("@ {} behind", lambda m, y: y @ m),
    ("@ {}.T behind", lambda m, y: y @ m.T),
)
_SYSTEMS: tuple[tuple[str, Callable[[Array, Array], Array]], ...] = (
    ("np.linalg.solve({}, …) around it", np.linalg.solve),
    ("np.linalg.solve({}.T, …) around it", lambda m, y: np.linalg.solve(m.T, y)),
)
_Kind = Callable[[Trace, Sequence[int]], Iterator[tuple[str, Change]]]
_Known = Callable[[Trace, Sequence[int]], Iterator[tuple[str, Source]]]
_CONDITIONS = {"greater", "greater_equal", "less", "less_equal", "equal", "not_equal"}


def of_operations(trace: Trace, groups: Sequence[Sequence[int]]) -> Iterator[Changed]:
    """Another operation, index, sign or number, in one or in all that a line performs again and again."""
    return _tried(trace, groups, [_of_kind, _of_writing, _of_signs, _of_numbers, _of_sums])


def of_values(trace: Trace, groups: Sequence[Sequence[int]]) -> Iterator[Changed]:
    """A function of what is there, and other values in its place or beside it: what is known, or entries of that."""
    by_value = _with_values(_known_before, _BESIDE)
    return _tried(trace, groups, [_of_functions, *by_value, *_with_values(_entries_known_before, _BESIDE[:3])])


def _with_values(known: _Known, beside: Sequence[tuple[str, Callable[[Array, Array], Array]]]) -> list[_Kind]:
    remembered: dict[tuple[int, ...], list[tuple[str, Source]]] = {}

    def once(trace: Trace, numbers: Sequence[int]) -> Iterator[tuple[str, Source]]:
        key = tuple(numbers)
        if key not in remembered:
            remembered[key] = list(known(trace, numbers))
        yield from remembered[key]

    others: list[_Kind] = [partial(_beside_others, once, words, operation) for words, operation in beside]
    return [
        partial(_with_others, once),
        partial(_with_matrices, once, _PRODUCTS),
        partial(_with_matrices, once, _SYSTEMS),
        *others,
    ]


def _tried(trace: Trace, groups: Sequence[Sequence[int]], kinds: Sequence[_Kind]) -> Iterator[Changed]:
    """The changes of each kind, the likeliest first."""
    for kind in kinds:
        for numbers in groups:
            for words, change in kind(trace, numbers):
                yield numbers, words, change


def _of_kind(trace: Trace, numbers: Sequence[int]) -> Iterator[tuple[str, Change]]:
    """Another operation on the same arguments, or one of them alone."""
    k = numbers[0]
    name, arrays = trace.steps[k].op.name, trace.arrays[k]
    if name in _CONDITIONS:
        yield "the opposite condition", lambda t, k: ~_made(t, k)
    for i, x in enumerate(arrays if name == "matmul" else ()):
        if np.ndim(x) > 1:
            yield f"the transpose of {name_at(trace, (k, i), numbers)}", partial(_of_argument, i, _turned)
    if len(arrays) == 2 and name in _BETWEEN:
        words, own = _BETWEEN[name]
        opposite = {"add": "subtract", "subtract": "add"}.get(name, "")
        alone = [(f"{name_at(trace, (k, i), numbers)} alone", partial(_argument, i)) for i in (0, 1)]
        others = {
            other: (f"{said} in place of {words}", partial(_by, operation))
            for other, (said, operation) in _BETWEEN.items()
            if other != name and (other != "matmul" or np.ndim(trace.values[k]) > 1)
        }
        yield from (others.pop(other) for other in {opposite} & others.keys())  # before one alone, if the other is 0
        yield from (*alone, *others.values())  # one alone before a maximum, which may be it everywhere
        if name in ("divide", "matmul"):
            yield "its arguments the other way round", partial(_by, lambda a, b: own(b, a))
    if len(arrays) == 1 and _is_of_numbers(trace.values[k]):
        yield f"{name_at(trace, (k, 0), numbers)} alone", partial(_argument, 0)
    for i, x in enumerate(arrays):
        if np.iscomplexobj(x):
            yield f"the conjugate of {name_at(trace, (k, i), numbers)}", partial(_of_argument, i, np.conj)
    if np.iscomplexobj(trace.values[k]):
        yield "its conjugate", lambda t, k: np.conj(_made(t, k))
    if np.ndim(trace.values[k]) > 1:
        yield "its transpose", lambda t, k: _turned(_made(t, k))
        if len({*np.shape(trace.values[k])[-2:]}) == 1:
            yield "its transpose added", lambda t, k: _made(t, k) + _turned(_made(t, k))
            yield "0 on its diagonal", lambda t, k: _made(t, k) * (1 - np.eye(np.shape(t.values[k])[-1]))
    for other_sum in (np.sum, np.mean) if name in ("sum", "mean", "max") else ():
        if other_sum.__name__ != name:
            yield f"{other_sum.__name__} in place of {name}", partial(_by, other_sum)
    if name in ("sum", "mean", "cumsum", "max") and np.ndim(arrays[0]) > 1:
        for axis in (*range(np.ndim(arrays[0])), *(() if name == "cumsum" else (None,))):
            yield f"axis={axis}", partial(_along, axis)


def _of_writing(trace: Trace, numbers: Sequence[int]) -> Iterator[tuple[str, Change]]:
    """Another index to read or write, and adding in place of writing, or the reverse."""
    k = numbers[0]
    name, params = trace.steps[k].op.name, trace.steps[k].params
    if name == "index_set":
        if all(_is_added(trace, k) for k in numbers):
            yield "= in place of +=", partial(_written, None, lambda there, values: values - there)
        elif not any(_is_added(trace, k) for k in numbers):
            yield "+= in place of =", partial(_written, None, np.add)
            is_first = not any(np.any(trace.arrays[k][0][trace.steps[k].params["index"]]) for k in numbers)
            word = "the opposite sign of what is written" if is_first else "-= in place of ="
            yield word, partial(_written, None, np.subtract)
    used = {n for inputs in trace.inputs for n in inputs}
    is_in_vain = not any(len(trace.variables) + k in used for k in numbers)  # but for the last
    if len(numbers) > 1 and is_in_vain:
        yield "+= in place of =", partial(_added_up, numbers)
    if name in ("index_set", "getitem"):
        for words, moved in _moves(params["index"]):
            yield words, partial(_written, moved, None) if name == "index_set" else partial(_read, moved)
        yield from _with_other_indices(trace, numbers)


def _of_sums(trace: Trace, numbers: Sequence[int]) -> Iterator[tuple[str, Change]]:
    """The sum of all times that a line has been run so far, in place of what is there this time."""
    k = numbers[0]
    for i, n in enumerate(trace.inputs[k] if len(numbers) > 1 else ()):
        made = trace.made_by(n) if n in trace.varying else None  # a sum of constants can be right by chance
        is_sum_itself = made is not None and trace.steps[made].op.name == "index_set"
        if made is not None and not is_sum_itself and _is_of_numbers(trace.arrays[k][i]):
            series = next((series for series in trace.of_instructions if series[0] <= made in series), ())
            if len(series) > 1:
                yield f"the sum of {trace.name((k, i))} so far in its place", partial(_summed, series, i)


def _with_other_indices(trace: Trace, numbers: Sequence[int]) -> Iterator[tuple[str, Change]]:
    """Another value's index, read or written in the same turn of a loop, in place of its own."""
    own = list(zip(*([str(part) for part in _parts(trace, k)] for k in numbers)))
    for axis, mistaken in enumerate(own):
        if len(numbers) > 2 and len({*mistaken}) == 1:  # an index that does not move with the loop
            for by, word in ((1, "larger"), (-1, "smaller")):
                words = f"an index that is 1 {word} each turn{f' along axis {axis}' * (len(own) > 1)}"
                yield words, partial(_moved_each_turn, axis, by, tuple(numbers))
    for offset, indices in _indices_nearby(trace, numbers):
        for other, there in enumerate(indices):
            for axis, mistaken in enumerate(own):
                if there not in own:
                    of_which = f" along axis {axis}" if len(own) > 1 else ""
                    words = f"{_in_turn(there)} in place of {_in_turn(mistaken)} as its index{of_which}"
                    yield words, partial(_indexed_as, offset, other, axis)


def _moved_each_turn(axis: int, by: int, numbers: tuple[int, ...], trace: Trace, k: int) -> Array:
    """What an operation reads or writes with an index that moves with the turns of its loop."""
    turns = numbers.index(k) if by > 0 else len(numbers) - 1 - numbers.index(k)
    moved = partial(_moved, axis, turns)
    return _written(moved, None, trace, k) if trace.steps[k].op.name == "index_set" else _read(moved, trace, k)


def _indices_nearby(trace: Trace, numbers: Sequence[int]) -> Iterator[tuple[int, Sequence[tuple[str, ...]]]]:
    """Where else something is read or written in the same turn of a loop, and each part of the indices, in turn."""
    first, last = numbers[0], numbers[-1]
    period = numbers[1] - first if len(numbers) > 1 else len(trace.steps)
    seen = set[Any]()
    for j in range(max(0, first - period), min(first + period, len(trace.steps) - last + first)):
        there = [j + k - first for k in numbers]
        if trace.steps[j].op.name in ("getitem", "index_set") and all(_is_alike(trace, j, k) for k in there[1:]):
            indices = tuple(zip(*([str(part) for part in _parts(trace, k)] for k in there)))
            if indices not in seen:
                seen.add(indices)
                yield j - first, indices


def _entries_known_before(trace: Trace, numbers: Sequence[int]) -> Iterator[tuple[str, Source]]:
    """What is known before an operation, at an index that is used in the same turn of a loop."""
    k = numbers[0]
    nearby = list(_indices_nearby(trace, numbers))
    read = {id(trace.arrays[j][0]) for j, step in enumerate(trace.steps) if step.op.name == "getitem"}
    for name, of in _known_before(trace, numbers) if nearby else ():
        array = of(trace, k)
        if id(array) not in read:
            continue
        for offset, indices in nearby:
            if 0 < len(indices) <= np.ndim(array) and not any(":" in part for part in indices[0]):
                parts = ", ".join(_in_turn(part)[1:-1] if len({*part}) == 1 else _in_turn(part) for part in indices)
                with suppress(Exception):  # an index beyond this array
                    _entry(of, offset, trace, k)
                    yield f"{name}[{parts}]", partial(_entry, of, offset)


def _entry(of: Source, offset: int, trace: Trace, k: int) -> Array:
    return np.asarray(of(trace, k)[trace.steps[k + offset].params["index"]])


def _moves(index: Any) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """Other indices that a person may have meant."""
    parts = index if isinstance(index, tuple) else (index,)
    numbers = [axis for axis, part in enumerate(parts) if isinstance(part, (int, np.integer)) and part is not True]
    for axis, part in enumerate(parts):
        of_which = f" along axis {axis}" if len(parts) > 1 else ""
        if axis in numbers or (isinstance(part, slice) and isinstance(part.start or part.stop, int)):
            for by, word in ((1, "larger"), (-1, "smaller")):
                yield f"an index that is 1 {word}{of_which}", partial(_moved, axis, by)
    if len(numbers) == 2 or (len(parts) == 2 and all(isinstance(part, slice) for part in parts)):
        yield "its indices the other way round", partial(_exchanged, *(numbers or (0, 1)))


def _moved(axis: int, by: int, index: Any) -> Any:
    parts = list(index) if isinstance(index, tuple) else [index]
    part = parts[axis]
    if isinstance(part, slice):
        start, stop = (None if end is None else end + by for end in (part.start, part.stop))
        parts[axis] = slice(start, stop, part.step)
    else:
        parts[axis] = part + by
    return tuple(parts)


def _exchanged(a: int, b: int, index: Any) -> Any:
    parts = list(index)
    parts[a], parts[b] = parts[b], parts[a]
    return tuple(parts)


def _read(moved: Callable[[Any], Any], trace: Trace, k: int) -> Array:
    return np.asarray(trace.arrays[k][0][moved(trace.steps[k].params["index"])])


def _written(
    moved: Callable[[Any], Any] | None, put: Callable[[Array, Array], Array] | None, trace: Trace, k: int
) -> Array:
    """An array after something else is written to it, or after it is written elsewhere."""
    array, values = trace.arrays[k]
    index = trace.steps[k].params["index"]
    written = np.array(array)
    if put is not None:
        written[index] = put(array[index], values)
    elif moved is not None and _is_added(trace, k):
        written[moved(index)] += values - array[index]
    elif moved is not None:
        written[moved(index)] = values
    return written


def _added_up(numbers: Sequence[int], trace: Trace, k: int) -> Array:
    """An operation's result and all that the same line made before."""
    return np.asarray(sum(_made(trace, number) for number in numbers if number <= k))


def _summed(series: Sequence[int], i: int, trace: Trace, k: int) -> Array:
    """An operation on the sum of a line's results up to this run, in place of an argument."""
    so_far = [trace.values[made] for made in series if made < k]
    return _made(trace, k, {i: np.sum(so_far, axis=0)})


def _parts(trace: Trace, k: int) -> tuple[Any, ...]:
    """The parts of the index of what an operation reads or writes."""
    index = trace.steps[k].params["index"]
    return index if isinstance(index, tuple) else (index,)


def _in_turn(parts: Sequence[str]) -> str:
    """An index, or the indices of all times that a line is run."""
    if len({*parts}) == 1:
        return f"[{parts[0]}]"
    return f"[{', '.join(parts[:_LISTED])}{', …' * (len(parts) > _LISTED)}]{' in turn' if len(parts) > 1 else ''}"


def _indexed_as(offset: int, other: int, axis: int, trace: Trace, k: int) -> Array:
    """What an operation reads or writes with a part of another's index in place of its own."""
    parts = list(_parts(trace, k))
    parts[axis] = _parts(trace, k + offset)[other]

    def moved(_: Any) -> Any:
        return tuple(parts)

    return _written(moved, None, trace, k) if trace.steps[k].op.name == "index_set" else _read(moved, trace, k)


def _is_added(trace: Trace, k: int) -> bool:
    """Whether values are written to the same entries from which they were read and added to."""
    array, n = trace.inputs[k]
    made = None if n is None else trace.made_by(n)
    if made is None or trace.steps[made].op.name not in ("add", "subtract"):
        return False
    before = trace.inputs[made][0]
    read = None if before is None else trace.made_by(before)
    if read is None or trace.steps[read].op.name != "getitem":
        return False
    same_place = repr(trace.steps[read].params["index"]) == repr(trace.steps[k].params["index"])
    return same_place and trace.inputs[read][0] == array


def _of_signs(trace: Trace, numbers: Sequence[int]) -> Iterator[tuple[str, Change]]:
    """The opposite sign, of the result or of the only argument."""
    k = numbers[0]
    yield "the opposite sign", lambda t, k: -_made(t, k)
    if len(trace.arrays[k]) == 1:
        yield f"the opposite sign of {trace.name((k, 0))}", lambda t, k: _made(t, k, {0: -t.arrays[k][0]})


def _of_numbers(trace: Trace, numbers: Sequence[int]) -> Iterator[tuple[str, Change]]:
    """Another number in place of a constant."""
    k = numbers[0]
    for i, x in enumerate(trace.arrays[k]):
        if trace.inputs[k][i] is None and isinstance(x, (int, float)) and not isinstance(x, bool):
            for number in _OTHER_NUMBERS:
                if (other := number(float(x))) != x:
                    yield f"{other:.6g} in place of {x:.6g}", partial(_with_argument, i, _constant(other))


def _of_functions(trace: Trace, numbers: Sequence[int]) -> Iterator[tuple[str, Change]]:
    """Another function of the same argument, none, or one more."""
    k = numbers[0]
    step = trace.steps[k]
    for i in _used_elsewhere(trace, k):
        if len(trace.arrays[k]) > 1 and trace.inputs[k][i] is not None:
            name = name_at(trace, (k, i), numbers)
            for function in _OF_ONE:
                yield f"{function.__name__} of {name} in place of {name}", partial(_of_argument, i, function)
            yield f"1 - {name} in place of {name}", partial(_of_argument, i, lambda x: 1 - x)
    if not _is_of_numbers(trace.values[k]) or step.op.name == "index_set":
        return
    if len(trace.arrays[k]) == 1:
        for function in _OF_ONE:
            if function.__name__ != step.op.name:
                yield f"{function.__name__} in place of {step.op}", partial(_by, function)
    for function in _OF_ONE:
        yield f"{function.__name__} of {trace.name((k, -1))}", partial(_after, function)
    yield f"1 added to {trace.name((k, -1))}", partial(_after, lambda y: y + 1)
    yield f"1 taken away from {trace.name((k, -1))}", partial(_after, lambda y: y - 1)
    yield f"1 - {trace.name((k, -1))}", partial(_after, lambda y: 1 - y)
    yield "a factor of 2", partial(_after, lambda y: 2 * y)
    yield "a factor of 1/2", partial(_after, lambda y: y / 2)


def _with_others(known: _Known, trace: Trace, numbers: Sequence[int]) -> Iterator[tuple[str, Change]]:
    """Another value in place of an argument: one that is known before."""
    k = numbers[0]
    for name, of in known(trace, numbers):
        other = of(trace, k)
        for i, x in enumerate(trace.arrays[k]):
            if np.shape(other) == np.shape(x) and other is not x:
                are_constants = trace.inputs[k][i] is None and name.startswith("[")
                mistaken = name_at(trace, (k, i), numbers)
                is_once = are_constants and len(numbers) == 1
                words = _entries(other, x) if is_once else f"{name} in place of {mistaken}"
                yield words, partial(_with_argument, i, of)


def _beside_others(
    known: _Known, words: str, operation: Callable[[Array, Array], Array], trace: Trace, numbers: Sequence[int]
) -> Iterator[tuple[str, Change]]:
    """Another value beside the result, or beside an argument."""
    k = numbers[0]
    whole = np.shape(trace.values[k])
    is_entrywise = trace.steps[k].op.name in _BETWEEN.keys() - {"matmul"}
    arguments = _used_elsewhere(trace, k)
    for known_as, found in known(trace, numbers):
        own = np.shape(found(trace, k))
        for name, of in _broadcast(known_as, found, own, whole):
            yield words.format(name), partial(_beside, operation, of)
        for i in arguments:
            there = whole if is_entrywise else np.shape(trace.arrays[k][i])
            for name, of in _broadcast(known_as, found, own, there):
                mistaken = name_at(trace, (k, i), numbers)
                yield f"{words.format(name)}, beside {mistaken}", partial(_beside_argument, i, operation, of)


def _with_matrices(
    known: _Known,
    operations: Sequence[tuple[str, Callable[[Array, Array], Array]]],
    trace: Trace,
    numbers: Sequence[int],
) -> Iterator[tuple[str, Change]]:
    """A product with a square matrix, or a system that it is solved for, around the result or an argument."""
    k = numbers[0]
    places = [-1, *_used_elsewhere(trace, k)]
    shapes = {i: np.shape(trace.array((k, i))) for i in places}
    for name, of in known(trace, numbers) if any(shapes.values()) else ():
        shape = np.shape(of(trace, k))
        if len(shape) != 2 or shape[0] != shape[1]:
            continue
        for i, own in shapes.items():
            if 0 < len(own) < 3 and shape[0] in own:
                for words, operation in operations:
                    beside = "" if i < 0 else f", at {name_at(trace, (k, i), numbers)}"
                    yield words.format(name) + beside, partial(_by_matrix, i, operation, of)


def _by_matrix(i: int, operation: Callable[[Array, Array], Array], of: Source, trace: Trace, k: int) -> Array:
    if i < 0:
        return operation(of(trace, k), _made(trace, k))
    return _made(trace, k, {i: operation(of(trace, k), trace.arrays[k][i])})


def _used_elsewhere(trace: Trace, k: int) -> list[int]:
    """The arguments of an operation that others use, too."""
    used = [n for inputs in trace.inputs for n in inputs]
    return [i for i, n in enumerate(trace.inputs[k]) if n is None or used.count(n) > 1]


def _broadcast(name: str, of: Source, own: tuple[int, ...], shape: tuple[int, ...]) -> Iterator[tuple[str, Source]]:
    """A value beside another of this shape, as it is or as a column."""
    if len(own) <= len(shape) and all(a in (1, b) for a, b in zip(own[::-1], shape[::-1])):
        yield name, of
    if len(own) == 1 < len(shape) and own[0] == shape[-2]:
        yield f"{name}[:, None]", lambda trace, k: of(trace, k)[:, None]


def _entries(new: Array, old: Array) -> str:
    """The first entries in which an array differs from the one that it replaces."""
    pairs = [(a, b) for a, b in zip(np.ravel(new), np.ravel(old)) if a != b]
    return ", ".join(f"{a:.6g} in place of {b:.6g}" for a, b in pairs[:3]) + ", …" * (len(pairs) > 3)


def _is_of_numbers(x: Any) -> bool:
    return np.asarray(x).dtype.kind in "fc"


def _turned(x: Array) -> Array:
    return np.swapaxes(x, -1, -2)


def _by(operation: Callable[..., Array], trace: Trace, k: int) -> Array:
    return operation(*trace.arrays[k], **trace.steps[k].params)


def _argument(i: int, trace: Trace, k: int) -> Array:
    return trace.arrays[k][i]


def _along(axis: int, trace: Trace, k: int) -> Array:
    step = trace.steps[k]
    return np.asarray(step.op.forward(*trace.arrays[k], **{**step.params, "axis": axis}))


def _after(function: Callable[[Array], Array], trace: Trace, k: int) -> Array:
    return function(_made(trace, k))


def _beside(operation: Callable[[Array, Array], Array], of: Source, trace: Trace, k: int) -> Array:
    return operation(_made(trace, k), of(trace, k))


def _beside_argument(i: int, operation: Callable[[Array, Array], Array], of: Source, trace: Trace, k: int) -> Array:
    return _made(trace, k, {i: operation(trace.arrays[k][i], of(trace, k))})


def _of_argument(i: int, function: Callable[[Array], Array], trace: Trace, k: int) -> Array:
    return _made(trace, k, {i: function(trace.arrays[k][i])})


def _with_argument(i: int, of: Source, trace: Trace, k: int) -> Array:
    return _made(trace, k, {i: of(trace, k)})


def sizes(trace: Trace, numbers: Sequence[int]) -> Iterator[tuple[Callable[..., Array], float, str]]:
    """What may be another number, its present value, and the words for the other one."""
    k = numbers[0]
    for i, x in enumerate(trace.arrays[k]):
        is_number = trace.inputs[k][i] is None and np.ndim(x) == 0 and isinstance(x, (float, np.floating))
        if is_number and all(np.array_equal(trace.arrays[number][i], x) for number in numbers):
            yield partial(_with_number, i), float(x), f"{{:.6g}}{{}} in place of {x:.6g}"
    yield _times, 1.0, "what is there {:.6g} times{}"
    yield _more, 0.0, "{:.6g}{} added to what is there"


def _with_number(i: int, number: float, trace: Trace, k: int) -> Array:
    return _made(trace, k, {i: number})


def _times(number: float, trace: Trace, k: int) -> Array:
    return np.asarray(number * _made(trace, k))


def _more(number: float, trace: Trace, k: int) -> Array:
    return np.asarray(_made(trace, k) + number)


def _constant(number: float) -> Source:
    return lambda *_: number


def _known_before(trace: Trace, numbers: Sequence[int]) -> Iterator[tuple[str, Source]]:
    """The values that are known before an operation, each once: variables, results and arrays from outside.

    Where a line is run again and again, those of a line in the same loop are others each time. They come first, beside
    what is known of no loop.
    """
    first, seen = numbers[0], set[int]()
    for n in range(len(trace.variables)):
        yield trace.name_of(n), partial(_variable, n)
    edges = [(j, -1) for j in range(first)]
    edges += [(j, i) for j in range(len(trace.steps)) for i, n in enumerate(trace.inputs[j]) if n is None]
    again = {k for series in trace.of_instructions for k in series}
    alike = {j: all(_is_alike(trace, j, j + k - first) for k in numbers[1:]) for j, _ in edges}
    in_another_loop = {j: j in again and (not is_alike or len(numbers) == 1) for j, is_alike in alike.items()}
    for j, i in sorted(edges, key=lambda edge: (in_another_loop[edge[0]], abs(edge[0] - first))):
        x = trace.array((j, i))
        if not isinstance(x, (np.ndarray, np.inexact)) or x.dtype.kind not in "fciub" or id(x) in seen:
            continue
        seen.add(id(x))
        if len(seen) > _NEAR:
            return
        if alike[j]:
            yield name_at(trace, (j, i), [j + k - first for k in numbers]), partial(_nearby, j - first, i)
        elif i < 0 or np.ndim(x):
            yield name_at(trace, (j, i), [j]), partial(_there, (j, i))


def _is_alike(trace: Trace, j: int, other: int) -> bool:
    """Whether two operations are the same in another run of a line."""
    steps = trace.steps
    return other < len(steps) and steps[j].op is steps[other].op and steps[j].source == steps[other].source


def name_at(trace: Trace, edge: Edge, numbers: Sequence[int]) -> str:
    """The name of an argument: its entries if it is a constant, since there may be several.

    Each time that a line is run, it may be another.
    """
    n = trace.number(edge)
    made = None if n is None else trace.made_by(n)
    is_read = made is not None and trace.steps[made].op.name == "getitem" and trace.inputs[made] == [None]
    if n is not None and not (is_read and trace.name(edge) == "the result of getitem"):
        return trace.name(edge)
    i, x = edge[1], trace.array(edge)
    if np.ndim(x) and (known := trace.constants.get(content(x))):
        return known
    entries = ", ".join(f"{entry:.4g}" for entry in np.ravel(x)[:3])
    named = f"[{entries}{', …' if np.size(x) > 3 else ''}]" if np.ndim(x) else entries
    is_same = all(np.array_equal(trace.array((other, i)), x) for other in numbers)
    return named if is_same else f"{named} (the first of {len(numbers)})"


def _variable(n: int, trace: Trace, k: int) -> Array:
    return trace.value(n)


def _there(edge: Edge, trace: Trace, k: int) -> Array:
    return trace.array(edge)


def _nearby(offset: int, i: int, trace: Trace, k: int) -> Array:
    return trace.array((k + offset, i))


def _made(trace: Trace, k: int, replaced: Mapping[int, Any] = MappingProxyType({})) -> Array:
    """An operation's result for its arguments, some of which may be replaced."""
    step = trace.steps[k]
    arrays = [replaced.get(i, x) for i, x in enumerate(trace.arrays[k])]
    return np.asarray(step.op.forward(*arrays, **step.params))
