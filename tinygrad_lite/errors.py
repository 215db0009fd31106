"""The errors that this package raises, each also of the built-in kind that callers expect; and its warning."""

import re
import reprlib
import sys
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

_PACKAGE = str(Path(__file__).parent)


class TinygradError(Exception):
    """Any error that this package raises on purpose."""


class ShapeError(TinygradError, ValueError):
    """Arrays whose shapes do not fit the operation, or each other."""


class IndexingError(ShapeError, IndexError):
    """An index, or an axis, that an array of this shape does not have."""


class AxisError(IndexingError, np.exceptions.AxisError):
    """An axis that an array of this shape does not have."""

    def __reduce__(self) -> tuple[Any, ...]:  # by what it was made of: libraries that copy attributes miss NumPy's
        return type(self), self.args


class InputError(TinygradError, ValueError):
    """A value outside what the function accepts: a label out of range, a negative learning rate."""


class EmptyError(InputError):
    """Arrays without entries, where there is nothing to check."""


class FileError(TinygradError, OSError):
    """A file that cannot be read or written; what was there before is unchanged."""


class MatrixError(InputError, np.linalg.LinAlgError):
    """A matrix that is singular, not square, or otherwise not what a function of linear algebra takes."""


class UsageError(TinygradError, TypeError):
    """An argument, dtype or call of a kind that is not supported; the message says what to write instead."""


class NoDerivativeError(UsageError):
    """A function that has no derivative here; the message says how to declare one.

    Attributes:
        path: the function's name as users write it, such as np.exp.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(
            f"{path} has no derivative here. Declare it with the derivatives of its arguments:\n"
            f"    operation = tg.elementwise({path}, lambda y, x: ...)        # dy/dx, entry by entry, or\n"
            f"    operation = tg.primitive({path}, lambda g, y, x: ...)       # the vector-Jacobian product\n"
            "or leave the graph on purpose with tensor.detach().numpy()."
        )

    def __reduce__(self) -> tuple[Any, ...]:  # by what it was made of, and not by its message
        return type(self), (self.path,)


class ConstantRuleError(UsageError):
    """A gradient that is not 0 and does not follow its upstream gradient, so that forward mode would miss it."""


class GraphError(TinygradError, RuntimeError):
    """A graph that does not support the request: it has no history, or it was already freed."""


class ExportError(TinygradError, BufferError):
    """An array that another library cannot be given, or not in the way it asks for; the message says what to write."""


class GradientError(TinygradError, AssertionError):
    """A gradient that is not what it should be; the message says what is wrong, where, and why.

    Attributes:
        report: the `Report` of the check.
    """

    def __init__(self, report: object) -> None:
        super().__init__(str(report))
        self.report = report


class VerificationError(TinygradError, RuntimeError):
    """A fault in a model, its loss or its data that was found before the training began; the message says which."""


class AnomalyError(TinygradError, FloatingPointError):
    """A NaN or an infinity that an operation produced; the message names the operation, its inputs and a remedy."""


class MissingExtraError(TinygradError, RuntimeError):
    """An optional library that is not installed; the message says which extra to install, and how.

    Args:
        feature: what needs the library.
        library: its name, as its authors write it.
        extra: the extra of this package that includes it.
    """

    def __init__(self, feature: str, library: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs {library}, which comes with the extra `{extra}`: in a clone of the repository, run "
            f"{sys.executable or 'python'} -m pip install -e '.[{extra}]'"
        )
        self._made_of = feature, library, extra

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._made_of


_RESTATED: list[tuple[type[Exception], type[TinygradError]]] = [
    (np.linalg.LinAlgError, MatrixError),
    (np.exceptions.AxisError, AxisError),
    (IndexError, IndexingError),
    (ValueError, ShapeError),
    (TypeError, UsageError),
    (AttributeError, UsageError),
]
RESTATED = tuple(theirs for theirs, _ in _RESTATED)
"""The kinds of errors that NumPy and Python raise about arguments, which `complain` raises again as ours."""


_ADVICE = {
    "Cannot interpret '(True|False)' as a data type": "keepdims= by name, since a dtype follows the axis in NumPy",
    "axes don't match array": "x.swapaxes(a, b) to exchange two axes, since transpose takes the order of all",
    "repeat\\(\\) takes from 2 to 3 positional": "np.tile(x, times) to repeat the whole along each axis",
}
"""What to write, by patterns of NumPy's errors that those meet who know PyTorch's functions of these names."""


def complain(error: Exception, name: str, args: Iterable[Any], params: Mapping[str, Any] | None = None) -> NoReturn:
    """Raise an error of NumPy's or Python's as one of ours, which names the operation and its arguments.

    One of ours, or of another library or the user, is raised as it is; a note says in which derivative it happened.
    """
    if isinstance(error, TinygradError) or type(error).__module__.partition(".")[0] not in ("builtins", "numpy"):
        if name.startswith("a derivative of ") and f"in {name}" not in getattr(error, "__notes__", ()):
            error.add_note(f"in {name}")
        try:
            raise error
        finally:
            del error  # or its traceback, which has this frame, would keep it and all frames below alive in a cycle
    kind = next(ours for theirs, ours in _RESTATED if isinstance(error, theirs))
    advice = next((f": write {instead}" for words, instead in _ADVICE.items() if re.search(words, str(error))), "")
    raise kind(f"{name} cannot take {in_words(args, params)}: {error}{advice}") from error


def refuse_complex(name: str) -> NoReturn:
    """Raise the error for complex numbers in an operation whose derivative is that of real ones."""
    raise UsageError(
        f"the derivative of {name} is known here only for real numbers, and it got complex ones: take np.real, "
        "np.imag or np.abs of them first"
    )


def in_words(args: Iterable[Any], params: Mapping[str, Any] | None = None) -> str:
    """Arguments in words, for messages: dtypes with shapes, and numbers; keywords with their names."""
    keywords = [f"{name}={_in_words(value)}" for name, value in (params or {}).items()]
    return " and ".join([*map(_in_words, args), *keywords])


def _in_words(x: Any) -> str:
    if isinstance(x, type):
        return x.__name__
    if hasattr(x, "dtype"):
        return f"{x.dtype}{list(x.shape)}"
    return f"[{', '.join(map(_in_words, x))}]" if type(x) is list and 0 < len(x) < 10 else reprlib.repr(x)


class TinygradWarning(UserWarning):
    """Code that runs but hardly does what was meant; the message says why, and what to write instead."""


class UncompiledWarning(TinygradWarning, UsageError):  # noqa: N818
    """A call of a compiled function that runs the function itself; the message says why, and what to write instead.

    Where warnings are errors, it is a `UsageError`.
    """


def warn(message: str, kind: type[TinygradWarning] = TinygradWarning) -> None:
    """Issue a warning at the user's line, the innermost one outside this package."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, kind, stacklevel=level)
