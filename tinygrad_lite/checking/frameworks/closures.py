"""Functions of PyTorch with copies in place of the modules and tensors that they read from outside."""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from types import CellType, FunctionType, MethodType
from typing import Any

import torch

from tinygrad_lite import trees
from tinygrad_lite.errors import UsageError


def with_copies(f: Callable[..., Any], in_float64: bool) -> Callable[..., Any]:
    """The function with copies of the modules and tensors in its closure, defaults and global names, or bound to it.

    What other functions read that it calls stays as it is.
    """
    if isinstance(f, MethodType):
        return MethodType(f.__func__, _copied(f.__self__, in_float64))
    if isinstance(f, partial):
        args, keywords = _copied((f.args, f.keywords), in_float64)
        return partial(with_copies(f.func, in_float64), *args, **keywords)
    if not isinstance(f, FunctionType):
        return f
    read = {name: x for name in f.__code__.co_names if _is_copied(x := f.__globals__.get(name))}
    cells = f.__closure__ or ()
    if not read and not _is_copied([f.__defaults__, f.__kwdefaults__, *map(_content, cells)]):
        return f
    copy = FunctionType(
        f.__code__,
        {**f.__globals__, **{name: _copied(x, in_float64) for name, x in read.items()}} if read else f.__globals__,
        f.__name__,
        _copied(f.__defaults__, in_float64),
        tuple(CellType(_copied(x, in_float64)) if _is_copied(x := _content(cell)) else cell for cell in cells),
    )
    copy.__kwdefaults__ = _copied(f.__kwdefaults__, in_float64)
    return copy


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty still
        return None


def _is_copied(x: Any) -> bool:
    """Whether there are modules or tensors in containers."""
    try:
        return any(isinstance(leaf, (torch.nn.Module, torch.Tensor)) for leaf in trees.leaves(x))
    except UsageError:  # they are nested too deeply
        return False


def _copied(x: Any, in_float64: bool) -> Any:
    return trees.map_leaves(lambda leaf: _copy(leaf, in_float64), x)


def _copy(x: Any, in_float64: bool) -> Any:
    if isinstance(x, torch.nn.Module):
        try:
            return deepcopy(x).double() if in_float64 else deepcopy(x)
        except RuntimeError:  # it holds the result of a computation, or is compiled
            return x
    if in_float64 and isinstance(x, torch.Tensor) and (x.dtype.is_floating_point or x.dtype.is_complex):
        return x.to(torch.complex128 if x.dtype.is_complex else torch.float64)
    return x
