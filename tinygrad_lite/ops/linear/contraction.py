"""Einstein summation: any product and sum over named axes; its derivative is an Einstein summation, too."""

from collections.abc import Sequence
from string import ascii_lowercase, ascii_uppercase
from typing import Any

import numpy as np

from tinygrad_lite.engine.arguments import as_array, refuse_out
from tinygrad_lite.engine.op import Array, primitive
from tinygrad_lite.engine.registry import implements
from tinygrad_lite.errors import ShapeError, UsageError

_LETTERS = ascii_uppercase + ascii_lowercase  # in the order in which NumPy sorts them


def _einsum(*arrays: Array, subscripts: str, optimize: Any = False) -> Array:
    return np.einsum(subscripts, *arrays, optimize=optimize)


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
    return np.einsum(
        ",".join(term for term, _ in operands) + "->" + wanted, *(x for _, x in operands), optimize=optimize
    )


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
einsum = primitive(
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
