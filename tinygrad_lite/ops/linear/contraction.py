"""Einstein summation: any product and sum over named axes; its derivative is an Einstein summation, too."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, Op, primitive
from tinygrad_lite.engine.registry import implements
from tinygrad_lite.errors import ShapeError, UsageError
from tinygrad_lite.foundation.advice import refuse_out
from tinygrad_lite.foundation.foreign import as_array
from tinygrad_lite.ops.shapes.indexing import performed

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"  # in the order in which NumPy sorts them


MANY = 2**13
"""From this many multiplications on, BLAS takes less time than NumPy's loop."""


def _einsum(*arrays: Array, subscripts: str, optimize: Any = False) -> Array:
    if len(arrays) > 1 and not optimize and _suit_blas(arrays):
        for chosen, step, product in _plan(subscripts, tuple(x.shape for x in arrays)):
            factors = [arrays[i] for i in chosen]
            y = product(*factors) if product else np.einsum(step, *factors)
            arrays = (*(x for i, x in enumerate(arrays) if i not in chosen), y)
        return arrays[0]
    return np.einsum(subscripts, *arrays, optimize=optimize)


def _suit_blas(arrays: Sequence[Array]) -> bool:
    """Whether BLAS takes these arrays, and they are large enough for it to be faster than NumPy's loop."""
    of_blas = all(type(x) is np.ndarray and x.dtype == arrays[0].dtype and x.dtype.char in "fdFD" for x in arrays)
    return of_blas and prod([x.size for x in arrays]) >= MANY


@lru_cache
def _plan(
    subscripts: str, shapes: tuple[tuple[int, ...], ...]
) -> list[tuple[Sequence[int], str, Callable[..., Array] | None]]:
    """The sums that make up a summation: for each, which operands it takes, its subscripts, and a matrix product."""
    terms, output = axes_by_letters(subscripts, [len(shape) for shape in shapes])
    path = [tuple(range(len(terms)))]
    if len(terms) > 2 and prod(_sizes(zip(terms, shapes)).values()) >= MANY:
        stand_ins = [np.broadcast_to(0.0, shape) for shape in shapes]
        path = np.einsum_path(f"{','.join(terms)}->{output}", *stand_ins, optimize="greedy")[0][1:]
    plan: list[tuple[Sequence[int], str, Callable[..., Array] | None]] = []
    known = [*zip(terms, shapes)]
    for chosen in path:
        factors = [known[i] for i in chosen]
        known = [x for i, x in enumerate(known) if i not in chosen]
        needed = output + "".join(term for term, _ in known)
        made = "".join(dict.fromkeys(c for term, _ in factors for c in term if c in needed)) if known else output
        plan.append((chosen, f"{','.join(term for term, _ in factors)}->{made}", _product(factors, made)))
        sizes = _sizes(factors)
        known.append((made, tuple(sizes.get(letter, 1) for letter in made)))
    return plan


def _sizes(operands: Iterable[tuple[str, tuple[int, ...]]]) -> dict[str, int]:
    """The length of the axes of each letter."""
    sizes: dict[str, int] = {}
    for term, shape in operands:
        for letter, size in zip(term, shape):
            sizes[letter] = max(size, sizes.get(letter, 1))
    return sizes


def roles(a: str, b: str, made: str) -> tuple[list[str], list[str], list[str], list[str]]:
    """The letters of two factors by their part in a product of matrices: stack, rows, columns, and the summed ones."""
    stack = [c for c in made if c in a and c in b]
    rows, columns = ([c for c in made if c in term and c not in stack] for term in (a, b))
    return stack, rows, columns, [c for c in a if c in b and c not in made]


def _product(factors: Sequence[tuple[str, tuple[int, ...]]], made: str) -> Callable[[Array, Array], Array] | None:
    """The sum of two factors as a product of (stacks of) matrices; None where it is none, or not worth it."""
    if len(factors) != 2:
        return None
    (a, _), (b, _) = factors
    sizes = _sizes(factors)
    if any(len({*term}) < len(term) or tuple(sizes.get(c) for c in term) != shape for term, shape in factors):
        return None  # a diagonal, an axis of length 1 that is stretched, or too many letters, which NumPy refuses
    stack, rows, columns, summed = roles(a, b, made)
    n, m, k = (prod(sizes[c] for c in letters) for letters in (rows, columns, summed))
    if {*a, *b} != {*made, *summed} or min(n, m) < 2 or not summed or prod(sizes.values()) < MANY:
        return None
    deep = [sizes[c] for c in stack]

    @lru_cache
    def arranged(steps_a: tuple[int, ...], steps_b: tuple[int, ...]) -> tuple[bool, list[int], list[int], list[str]]:
        """Whether b comes first, the order of the axes of the two factors, and of those of the product."""
        if stack:
            lines, places, inner, turned = rows, columns, summed, False
        else:
            lines, places, inner, turned = _in_memory(
                rows, columns, summed, sizes, dict(zip(a, steps_a)), dict(zip(b, steps_b))
            )
        if turned:
            return (
                True,
                [b.index(c) for c in (*places, *inner)],
                [a.index(c) for c in (*inner, *lines)],
                [*places, *lines],
            )
        order_a, order_b = (
            [a.index(c) for c in (*stack, *lines, *inner)],
            [b.index(c) for c in (*stack, *inner, *places)],
        )
        return False, order_a, order_b, [*stack, *lines, *places]

    def product(x: Array, z: Array) -> Array:
        turned, order_x, order_z, letters = arranged(x.strides, z.strides)
        (x, z), (height, width) = ((z, x), (m, n)) if turned else ((x, z), (n, m))
        left = x.transpose(order_x).reshape(*deep, height, k)
        right = z.transpose(order_z).reshape(*deep, k, width)
        y = np.matmul(left, right).reshape([sizes[c] for c in letters])
        return y.transpose([letters.index(c) for c in made])

    return product


SHORT = 8
"""Copying an array in pieces of fewer entries than these takes several times as long as in one go."""


def _in_memory(
    rows: list[str],
    columns: list[str],
    summed: list[str],
    sizes: Mapping[str, int],
    steps_a: Mapping[str, int],
    steps_b: Mapping[str, int],
) -> tuple[list[str], list[str], list[str], bool]:
    """The axes of two factors in the order in which they lie in memory, and whether the product is to be transposed.

    It is if the first factor, the windows of an image, say, would be copied in small pieces.
    """
    n, m = (prod(sizes[c] for c in letters) for letters in (rows, columns))
    steps = steps_a if n > m else steps_b
    lines = sorted(rows, key=steps_a.__getitem__, reverse=True)
    places = sorted(columns, key=steps_b.__getitem__, reverse=True)
    inner = sorted(summed, key=steps.__getitem__, reverse=True)
    if all(_piece(part, sizes, steps_a) == prod(sizes[c] for c in part) for part in (lines, inner)):
        return lines, places, inner, lines != rows and steps_a[lines[-1]] < steps_a[inner[-1]]
    if _piece([*lines, *inner], sizes, steps_a) >= SHORT:
        return lines, places, inner, False
    longest = max(lines, key=sizes.__getitem__)
    if _piece([*inner, *lines], sizes, steps_a) < min(2 * SHORT, sizes[longest]):
        lines.append(lines.pop(lines.index(longest)))
    return lines, places, inner, True


def _piece(letters: list[str], sizes: Mapping[str, int], steps: Mapping[str, int]) -> int:
    """How many entries at the end of axes in this order lie in memory at equal distances."""
    count, step = 1, 0
    for c in reversed(letters):
        if sizes[c] > 1:
            if step and steps[c] != step * count:
                break
            step = step or steps[c]
            count *= sizes[c]
    return count


def axes_by_letters(subscripts: str, ndims: Sequence[int]) -> tuple[list[str], str]:
    """The letters of the axes of each operand and of the result, including axes that an ellipsis stands for."""
    inputs, arrow, output = subscripts.replace(" ", "").partition("->")
    operands = inputs.split(",")
    if len(operands) != len(ndims):
        raise ShapeError(f"einsum: {subscripts!r} names {len(operands)} operands, got {len(ndims)}")
    if not arrow:
        named = inputs.replace(",", "").replace(".", "")
        output = "..." * ("." in inputs) + "".join(c for c in sorted(set(named)) if named.count(c) == 1)
    unused = [letter for letter in _LETTERS if letter not in subscripts]
    hidden = [ndim - len(term) + 3 if "..." in term else 0 for term, ndim in zip(operands, ndims)]
    longest = "".join(unused[: max(hidden, default=0)])
    terms = [term.replace("...", longest[len(longest) - count :]) for term, count in zip(operands, hidden)]
    return terms, output.replace("...", longest)


@lru_cache(1000)
def _gradient_of(
    i: int, subscripts: str, shape: tuple[int, ...], shapes: tuple[tuple[int, ...], ...]
) -> tuple[str, list[tuple[Callable[..., Array], int]]]:
    """The summation of a gradient, and what it takes beside the upstream gradient and the other operands."""
    terms, output = axes_by_letters(subscripts, [*map(len, shapes)])
    operands = [(output, shape), *((term, x) for k, (term, x) in enumerate(zip(terms, shapes)) if k != i)]
    unused = iter([letter for letter in _LETTERS if letter not in "".join(terms)])
    beside: list[tuple[Callable[..., Array], int]] = []
    wanted = ""
    for letter, size in zip(terms[i], shapes[i]):
        if letter in wanted:  # a diagonal was taken: its gradient goes back onto it
            again = next(unused)
            operands.append((letter + again, (size, size)))
            beside.append((np.eye, size))
            wanted += again
        else:
            lengths = [x[term.index(letter)] for term, x in operands if letter in term]
            if size not in lengths:  # summed over in this operand alone: each entry gets the same gradient
                operands.append((letter, (size,)))
                beside.append((np.ones, size))
            wanted += letter
    return f"{','.join(term for term, _ in operands)}->{wanted}", beside


def _einsum_vjp(i: int, g: Array, y: Array, arrays: Sequence[Array], subscripts: str, optimize: Any = False) -> Array:
    summation, beside = _gradient_of(i, subscripts, np.shape(g), tuple([np.shape(x) for x in arrays]))
    made = [make(size, dtype=g.dtype) for make, size in beside]
    return einsum(g, *arrays[:i], *arrays[i + 1 :], *made, subscripts=summation, optimize=optimize)


_EXAMPLES: list[tuple[str, list[tuple[int, ...]]]] = [
    ("ij,jk->ik", [(2, 3), (3, 4)]),
    ("ij,jk", [(2, 3), (3, 4)]),
    ("ij->", [(2, 3)]),
    ("ij->j", [(2, 3)]),
    ("ii->i", [(3, 3)]),
    ("ii", [(3, 3)]),
    ("iij,i->j", [(2, 2, 3), (2,)]),
    ("ij,ij,jk->k", [(2, 3), (2, 3), (3, 2)]),
    ("i,j->ij", [(2,), (3,)]),
    ("...ij,...jk->...ik", [(2, 2, 3), (3, 2)]),
    ("...i,i...", [(2, 3), (3, 2)]),
    ("i...->...", [(3, 2)]),
    ("ij,ij->ij", [(1, 3), (2, 3)]),
    ("ij,k->i", [(2, 3), (4,)]),
    (",i->i", [(), (3,)]),
    ("iii->", [(2, 2, 2)]),
    ("ij,jk->ik", [(2, 0), (0, 3)]),
]
einsum: Op = primitive(
    _einsum,
    each=_einsum_vjp,
    linear=True,
    takes_complex=True,
    examples=[(shapes, {"subscripts": subscripts}) for subscripts, shapes in _EXAMPLES],
)


@implements(np.einsum)
def _einsum_as_numpy(
    *operands: Any, out: Array = None, optimize: Any = False, order: str = "K", **params: Any
) -> Array:
    refuse_out("einsum", out)
    if params:
        raise UsageError(f"einsum: {next(iter(params))}= has no derivative here; it knows optimize= and order=")
    if isinstance(operands[0], str):
        subscripts, *arrays = operands
    else:
        *pairs, result = operands if len(operands) % 2 else (*operands, None)
        arrays = pairs[0::2]
        subscripts = ",".join(map(_named, pairs[1::2])) + ("" if result is None else "->" + _named(result))
    arrays = [*map(as_array, arrays)]
    plan = _plan(subscripts, tuple(x.shape for x in arrays)) if isinstance(optimize, (bool, str)) else []
    if len(plan) > 1:  # pair by pair, so that a rule need not multiply again what the forward did
        for chosen, step, _ in plan:
            made = einsum(*(arrays[i] for i in chosen), subscripts=step, optimize=False)
            arrays = [*(x for i, x in enumerate(arrays) if i not in chosen), made]
        return arrays[0]
    return einsum(*arrays, subscripts=subscripts, optimize=optimize)


def _tensordot(a: Array, b: Array, axes: tuple[tuple[int, ...], tuple[int, ...]]) -> Array:
    if _suit_blas([a, b]) and (product := _product_of(a.shape, b.shape, axes)):
        return product(a, b)
    return np.tensordot(a, b, axes)


@lru_cache
def _product_of(
    shape_a: tuple[int, ...], shape_b: tuple[int, ...], axes: tuple[tuple[int, ...], tuple[int, ...]]
) -> Callable[[Array, Array], Array] | None:
    terms, made = axes_by_letters(subscripts_of(len(shape_a), len(shape_b), axes), [len(shape_a), len(shape_b)])
    return _product([*zip(terms, (shape_a, shape_b))], made)


def subscripts_of(ndim_a: int, ndim_b: int, axes: tuple[tuple[int, ...], tuple[int, ...]]) -> str:
    """The product of two arrays that sums over these axes, as an Einstein summation."""
    of_a, of_b = axes
    a, more = _LETTERS[:ndim_a], iter(_LETTERS[ndim_a:])
    b = "".join(a[of_a[of_b.index(i)]] if i in of_b else next(more) for i in range(ndim_b))
    return f"{a},{b}->{''.join(c for c in a + b if (c in a) != (c in b))}"


def _tensordot_vjp_a(g: Array, y: Array, a: Array, b: Array, axes: Any) -> Array:
    of_a, of_b = axes
    free_a, free_b = _remaining(a, of_a), _remaining(b, of_b)
    back = tensordot(g, b, axes=(tuple(range(len(free_a), np.ndim(g))), free_b))
    places = [*free_a, *(of_a[of_b.index(i)] for i in sorted(of_b))]
    return np.transpose(back, np.argsort(places).tolist())


def _tensordot_vjp_b(g: Array, y: Array, a: Array, b: Array, axes: Any) -> Array:
    of_a, of_b = axes
    free_a, free_b = _remaining(a, of_a), _remaining(b, of_b)
    back = tensordot(a, g, axes=(free_a, tuple(range(len(free_a)))))
    places = [*(of_b[of_a.index(i)] for i in sorted(of_a)), *free_b]
    return np.transpose(back, np.argsort(places).tolist())


def _remaining(x: Array, summed: Sequence[int]) -> tuple[int, ...]:
    """The axes that a sum over some leaves."""
    return tuple(i for i in range(np.ndim(x)) if i not in summed)


tensordot: Op = primitive(
    _tensordot,
    _tensordot_vjp_a,
    _tensordot_vjp_b,
    linear=True,
    takes_complex=True,
    examples=[
        ([(2, 3), (3, 4)], {"axes": ((1,), (0,))}),
        ([(2, 3, 4), (4, 5, 2)], {"axes": ((2, 0), (0, 2))}),
        ([(2, 3), (2, 2)], {"axes": ((), ())}),
        ([(2, 3), (2, 3)], {"axes": ((0, 1), (0, 1))}),
    ],
)


@implements(np.tensordot)
def _tensordot_as_numpy(a: Array, b: Array, axes: Any = 2) -> Array:
    a, b = as_array(a), as_array(b)
    if np.ndim(axes) == 0 and not isinstance(axes, (tuple, list)):
        of_a, of_b = list(range(a.ndim - int(axes), a.ndim)), list(range(int(axes)))
    else:
        of_a, of_b = ([axis] if np.ndim(axis) == 0 else list(axis) for axis in axes)
    of_a, of_b = [i % (a.ndim or 1) for i in of_a], [i % (b.ndim or 1) for i in of_b]
    if [a.shape[i] for i in of_a] != [b.shape[i] for i in of_b]:
        raise ShapeError(f"tensordot of {a.shape} and {b.shape}: the axes {axes} to sum over differ in length")
    return performed(tensordot, (a, b), {"axes": (tuple(of_a), tuple(of_b))})


def _named(axes: Sequence[Any]) -> str:
    return "".join("..." if axis is Ellipsis else _LETTERS[axis] for axis in axes)


@implements(np.einsum_path)
def _einsum_path(*operands: Any, **params: Any) -> Any:
    shapes: Any = [x if isinstance(x, (str, list, tuple)) else np.empty(np.shape(x)) for x in operands]
    return np.einsum_path(*shapes, **params)
