"""`functionalize`: gradients of functions that were written for NumPy's arrays."""

from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction, isgeneratorfunction
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.array_api.memory import in_memory
from tinygrad_lite.array_api.standing_in import names
from tinygrad_lite.array_api.writing import ARRAYS, Writable, is_writing, refusals
from tinygrad_lite.engine.op import Traced
from tinygrad_lite.engine.registry import ANSWERS
from tinygrad_lite.errors import TinygradError, UsageError
from tinygrad_lite.foundation.advice import lost_array
from tinygrad_lite.foundation.callers import is_library, steps_of


def functionalize(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function for tensors, where it was written for NumPy's arrays.

    It may write into arrays: `x[i] = v`, `x += y`, `out=x`, `np.add.at(x, i, v)`. It may make them: `np.zeros(n)`,
    `np.array([x, y])`, `np.asarray(x)`. It may use `math`, and numbers as `x.item()`. So may the functions that it
    calls, those of libraries, too, as long as they are written in Python.

    Its arguments stay as they are, whatever it writes into them. A view and its array see what is written into the
    other, as in NumPy. What it only reads, such as an array outside, cannot hold a tensor: it has to write into a copy,
    `np.array(a)`. Each assignment makes a new array, so a loop over all entries takes quadratic time. While it runs,
    NumPy's names stand for others in all modules; other threads do not notice.

    Example:
        >>> import math, numpy as np, tinygrad_lite as tg
        >>> def smooth(x, decay):
        ...     y = np.zeros(len(x))
        ...     y[0] = x[0]
        ...     for t in range(1, len(x)):
        ...         y[t] = decay * y[t - 1] + (1 - decay) * x[t]
        ...     return y
        >>> tg.jacobian(tg.functionalize(smooth), argnums=1)(np.array([1.0, 2.0, 4.0]), 0.5)
        array([ 0., -1., -3.])
        >>> def length(x):
        ...     return math.sqrt(sum(np.array([x[0], 2 * x[1]]) ** 2))
        >>> tg.grad(tg.functionalize(length))(np.array([3.0, 2.0]))
        array([0.6, 1.6])
    """
    if isgeneratorfunction(function) or iscoroutinefunction(function):
        raise UsageError(
            f"functionalize: {function.__name__} would run after the call, when its arrays are NumPy's again"
        )

    @wraps(function)
    def functional(*args: Any, **params: Any) -> Any:
        if not any(isinstance(x, Traced) for x in trees.leaves((args, params))):
            args, params = trees.map_leaves(lambda x: np.copy(x) if isinstance(x, np.ndarray) else x, (args, params))
            return function(*args, **params)
        args, params = trees.map_leaves(lambda x: _lent(x) if isinstance(x, ARRAYS) else x, (args, params))
        before, unrefused = is_writing.set(True), refusals.set(())
        try:
            with names.changed(function):
                result = function(*args, **params)
            refused = refusals.get()
        except Exception as error:
            if refusal := _behind(error):
                raise refusal from error
            raise
        finally:
            is_writing.reset(before)
            refusals.reset(unrefused)
        if refused:  # an array would have gone another way
            raise refused[0]
        return trees.map_leaves(lambda x: x.value if isinstance(x, Writable) else x, result)

    return functional


def _behind(error: Exception) -> Exception | None:
    """Our refusal, if the function or a library raised another error after it, or needs what only arrays have."""
    if isinstance(error, TinygradError):
        return None
    if refused := refusals.get():
        return refused[-1]
    innermost = steps_of(error.__traceback__)[-1].tb_frame  # behind that of the call of the function
    is_librarys = is_library(innermost.f_globals.get("__name__", ""))
    may_be_of_c = isinstance(error, (AttributeError, TypeError, SystemError)) or "read-only" in str(error)
    return UsageError(lost_array(innermost, ANSWERS, functionalized=True)) if is_librarys and may_be_of_c else None


def _lent(x: Any) -> Writable:
    """An argument as an array of the function's own, or as a number if the caller passed a number."""
    return Writable(x, is_number=np.ndim(x) == 0 and not isinstance(in_memory(x), np.ndarray))
