"""Einstein summation: any product and sum over named axes; its derivative is an Einstein summation, too."""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from math import prod
from string import ascii_lowercase, ascii_uppercase
from typing import Any

import numpy as np

from tinygrad_lite.engine.arguments import as_array, refuse_out
from tinygrad_lite.engine.op import Array, Op, primitive
from tinygrad_lite.engine.registry import implements
from tinygrad_lite.errors import ShapeError, UsageError

_LETTERS = ascii_uppercase + ascii_lowercase  # in the order in which NumPy sorts them


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
    """Whether they are arrays of numbers that BLAS takes, and not so small that NumPy's loop has ended before."""
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


def _product(factors: Sequence[tuple[str, tuple[int, ...]]], made: str) -> Callable[[Array, Array], Array] | None:
    """The sum of two factors as a product of (stacks of) matrices; None where it is none, or not worth it."""
    if len(factors) != 2:
        return None
    (a, _), (b, _) = factors
    sizes = _sizes(factors)
    if any(len({*term}) < len(term) or tuple(sizes[c] for c in term) != shape for term, shape in factors):
        return None  # a diagonal, or an axis of length 1 that is stretched
    stack = [c for c in made if c in a and c in b]
    rows, columns = ([c for c in made if c in term and c not in stack] for term in (a, b))
    summed = [c for c in a if c in b and c not in made]
    n, m, k = (prod(sizes[c] for c in letters) for letters in (rows, columns, summed))
    if {*a, *b} != {*made, *summed} or min(n, m) < 2 or not summed or prod(sizes.values()) < MANY:
        return None
    order_a, order_b = (
        [a.index(c) for c in (*stack, *rows, *summed)],
        [b.index(c) for c in (*stack, *summed, *columns)],
    )
    deep = [sizes[c] for c in stack]
    shape = [sizes[c] for c in (*stack, *rows, *columns)]
    back = [(*stack, *rows, *columns).index(c) for c in made]

    def product(a: Array, b: Array) -> Array:
        left = np.reshape(np.transpose(a, order_a), (*deep, n, k))
        right = np.reshape(np.transpose(b, order_b), (*deep, k, m))
        return np.transpose(np.reshape(np.matmul(left, right), shape), back)

    return product


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


def _einsum_vjp(i: int, g: Array, y: Array, arrays: Sequence[Array], subscripts: str, optimize: Any = False) -> Array:
    terms, output = axes_by_letters(subscripts, [np.ndim(x) for x in arrays])
    operands = [(output, g), *((term, x) for k, (term, x) in enumerate(zip(terms, arrays)) if k != i)]
    unused = iter([letter for letter in _LETTERS if letter not in "".join(terms)])
    wanted = ""
    for letter, size in zip(terms[i], np.shape(arrays[i])):
        if letter in wanted:  # a diagonal was taken: its gradient goes back onto it
            again = next(unused)
            operands.append((letter + again, np.eye(size, dtype=g.dtype)))
            wanted += again
        else:
            lengths = [np.shape(x)[term.index(letter)] for term, x in operands if letter in term]
            if size not in lengths:  # summed over in this operand alone: each entry gets the same gradient
                operands.append((letter, np.ones(size, g.dtype)))
            wanted += letter
    of_operands = ",".join(term for term, _ in operands)
    return einsum(*(x for _, x in operands), subscripts=f"{of_operands}->{wanted}", optimize=optimize)


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
    return einsum(*map(as_array, arrays), subscripts=subscripts, optimize=optimize)


def _named(axes: Sequence[Any]) -> str:
    return "".join("..." if axis is Ellipsis else _LETTERS[axis] for axis in axes)


@implements(np.einsum_path)
def _einsum_path(*operands: Any, **params: Any) -> Any:
    shapes: Any = [x if isinstance(x, (str, list, tuple)) else np.empty(np.shape(x)) for x in operands]
    return np.einsum_path(*shapes, **params)
