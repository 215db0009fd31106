"""The errors that this package raises, each also of the built-in kind that callers expect; and its warning."""

import sys
import warnings
from pathlib import Path

_PACKAGE = str(Path(__file__).parent)


class TinygradError(Exception):
    """Any error that this package raises on purpose."""


class ShapeError(TinygradError, ValueError):
    """Arrays whose shapes do not fit the operation, or each other."""


class InputError(TinygradError, ValueError):
    """A value outside what the function accepts: a label out of range, a negative learning rate."""


class UsageError(TinygradError, TypeError):
    """An argument, dtype or call of a kind that is not supported; the message says what to write instead."""


class NoDerivativeError(UsageError):
    """A function that has no derivative here; the message says how to declare one.

    Args:
        path: the function's name as users write it, such as np.exp.
    """

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path} has no derivative here. Declare it with the derivatives of its arguments:\n"
            f"    operation = tg.elementwise({path}, lambda y, x: ...)        # dy/dx, entry by entry, or\n"
            f"    operation = tg.primitive({path}, lambda g, y, x: ...)       # the vector-Jacobian product\n"
            "or leave the graph on purpose with tensor.detach().numpy()."
        )


class GraphError(TinygradError, RuntimeError):
    """A graph that does not support the request: it has no history, or it was already freed."""


class GradientError(TinygradError, AssertionError):
    """A gradient that is not what it should be; the message says what is wrong, where, and why.

    Attributes:
        report: the `Report` of the check.
    """

    def __init__(self, report: object) -> None:
        super().__init__(str(report))
        self.report = report


class AnomalyError(TinygradError, FloatingPointError):
    """A NaN or an infinity that an operation produced; the message names the operation, its inputs and a remedy."""


class MissingExtraError(TinygradError, RuntimeError):
    """An optional library that is not installed; the message says which extra to install, and how.

    Args:
        what: the feature that needs the library.
        library: its name, as its authors write it.
        extra: the extra of this package that includes it.
    """

    def __init__(self, what: str, library: str, extra: str) -> None:
        super().__init__(
            f"{what} needs {library}, which comes with the extra `{extra}`: in a clone of the repository, run "
            f"pip install -e '.[{extra}]'"
        )


class TinygradWarning(UserWarning):
    """Code that runs but hardly does what was meant; the message says why, and what to write instead."""


def warn(message: str) -> None:
    """Issue a `TinygradWarning` at the user's line, the innermost one outside this package."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, TinygradWarning, stacklevel=level)
