"""What a learner is told when NumPy refuses shapes that do not fit: the line, the shapes, and what may be missing."""

import ast
import linecache
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np

from tinygrad_lite.foundation.callers import steps_of

Shape = tuple[int, ...]

_REFUSED = (
    "mismatch in its core dimension",
    "could not be broadcast",
    "shapes",
    "cannot reshape",
    "does not have enough",
)
_NO_FIT = "the shapes of two arrays do not fit"
_MISSING = "a factor of the matrix product is not transposed"
_ORDER = "the factors of the matrix product are in the wrong order"
_TURNED = "one of two terms is not transposed"
_ENTRYWISE = "entries are multiplied one by one where a matrix product belongs"


@dataclass(frozen=True)
class Misfit(Exception):  # noqa: N818  the answer is wrong, which is a mark and no error
    """Shapes that do not fit in a learner's line: a wrong answer, unlike any other error.

    Attributes:
        told: the line and the shapes.
        likeness: what may be missing; "" if that is not known.
    """

    told: str
    likeness: str = ""


def misfit_of(error: ValueError, within: str, shape: Shape) -> Misfit | None:
    """The misfit behind NumPy's error in a file, in a gradient of this shape; None if it is another error."""
    if not any(words in str(error) for words in _REFUSED):
        return None
    place = _place(error.__traceback__, within)
    if place is None:
        return Misfit(_NO_FIT)
    frame, text = place
    if "cannot reshape" in str(error):
        return Misfit(f"`{text}`: {error}")
    try:
        node: ast.AST = ast.parse(text.strip(), mode="eval").body
        a, b = (
            np.asarray(eval(compile(ast.Expression(part), within, "eval"), frame.f_globals, frame.f_locals))  # noqa: S307
            for part in _operands(node)
        )
    except Exception:  # any other line, which is shown as it is
        return Misfit(f"`{text}`: {_NO_FIT}" if text else _NO_FIT)
    if _is_product(node):
        why = "the inner sizes differ" if a.ndim and b.ndim else "a single number has nothing to sum over"
        return Misfit(f"`{text}` multiplies matrices of shapes {a.shape} and {b.shape}: {why}", _mended(a, b, shape))
    product = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult)
    likeness = _ENTRYWISE if product and a.ndim == b.ndim == 2 and _arrangements(a, b, shape) else ""
    if not product and a.shape == b.shape[::-1] and shape in (a.shape, b.shape):
        likeness = _TURNED
    return Misfit(f"`{text}` combines entries of shapes {a.shape} and {b.shape}, which do not fit", likeness)


def _place(traceback: TracebackType | None, within: str) -> tuple[Any, str] | None:
    """The innermost frame of the learner's file, and the expression that it was at."""
    own = [step for step in steps_of(traceback) if step.tb_frame.f_code.co_filename == within]
    if not own:
        return None
    frame = own[-1].tb_frame
    first, last, start, end = [*frame.f_code.co_positions()][own[-1].tb_lasti // 2]
    lines = linecache.getlines(within, frame.f_globals)[(first or 1) - 1 : last]
    if not lines or start is None or end is None:
        return frame, ""
    cut = [line.encode() for line in lines]
    cut[-1] = cut[-1][:end]
    cut[0] = cut[0][start:]
    return frame, " ".join(b"".join(cut).decode().split())


def _operands(node: Any) -> tuple[ast.expr, ast.expr]:
    if isinstance(node, ast.BinOp):
        return node.left, node.right
    a, b = node.args if len(node.args) == 2 else (node.func.value, *node.args)  # np.dot(a, b), or a.dot(b)
    return a, b


def _is_product(node: Any) -> bool:
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.MatMult)
    return getattr(node.func, "attr", "") in ("matmul", "dot")


def _mended(a: Any, b: Any, shape: Shape) -> str:
    """What would make the product possible, preferably with the shape that the gradient needs."""
    if a.ndim != 2 or b.ndim != 2:
        return ""
    for wanted in (shape, None):
        for words, left, right in ((_MISSING, a, b), (_ORDER, b, a)):
            if _arrangements(left, right, wanted):
                return words
    return ""


def _arrangements(a: Any, b: Any, shape: Shape | None) -> bool:
    """Whether the two, each as it is or transposed, have a product of this shape, or of any."""
    pairs = [(left.shape, right.shape) for left in (a, a.T) for right in (b, b.T)]
    return any(left[1] == right[0] and shape in (None, (left[0], right[1])) for left, right in pairs)
