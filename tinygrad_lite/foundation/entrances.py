"""Where users call our layers and functions: lists become arrays, and anything else gets an error of ours.

So do arrays whose dtype is not one of NumPy's, such as PyTorch's tensors.
"""

import re
from collections.abc import Callable, Mapping
from functools import wraps
from inspect import Parameter, isfunction
from pathlib import Path
from types import FrameType
from typing import Any, ParamSpec, TypeVar

import numpy as np

from tinygrad_lite.errors import RESTATED, TinygradError, UsageError, complain
from tinygrad_lite.foundation.callers import LIBRARIES, expression_at, steps_of
from tinygrad_lite.foundation.elsewhere import refuse_settings
from tinygrad_lite.foundation.foreign import as_numpy, numbers_of
from tinygrad_lite.foundation.pytorch_names import instead_of_method, instead_of_name, instead_of_setting
from tinygrad_lite.foundation.signatures import signature

P = ParamSpec("P")
T = TypeVar("T")
_PACKAGE = str(Path(__file__).parents[1])
_TABLES = f"{__name__.partition('.')[0]}.ops."
"""The package of the operations, some of which other packages have under their own names."""
_NO_ARRAYS = ("dtype", "output_size", "output_ratio", "momentum")
"""Arguments of any type that are settings."""


def entrances(functions: Mapping[str, Any]) -> dict[str, Any]:
    """The public functions that a package collects from its files, as users call them, by name."""
    module = functions["__name__"]
    return {
        name: entrance(function, module)
        for name, function in functions.items()
        if isfunction(function) and not name.startswith("_") and function.__module__.startswith((f"{module}.", _TABLES))
    }


def entrance(function: Callable[..., Any], module: str) -> Callable[..., Any]:
    """A function as users call it under a module's name; it refuses arrays with rules of their own, as of a mask."""

    @wraps(function)
    def called(*args: Any, **settings: Any) -> Any:
        for x in (*args, *settings.values()) if settings else args:
            if isinstance(x, np.ndarray) and type(x) is not np.ndarray:
                numbers_of(x, function.__name__)
        try:
            return function(*args, **settings)
        except RESTATED as error:
            return called_again(function, function.__name__, args, settings, error)

    called.__module__ = module  # where a pickle finds it
    return called


def called_again(
    function: Callable[..., Any], name: str, args: tuple[Any, ...], settings: Mapping[str, Any], error: Exception
) -> Any:
    """The result of a call that has failed, with arrays in place of the lists, and the like, among its arguments.

    Raises:
        TinygradError: what was wrong with the arguments; but an error of the user's own code is raised as it is.
    """
    arguments = _arguments(function, args, settings)
    if isinstance(arguments, str) or not _is_ours(error):
        refuse_settings(name, function, settings)
        advise(error)
        if isinstance(arguments, str) and function.__name__ not in str(error):  # it names one that this one calls
            error = TypeError(f"{function.__name__}() {arguments}")
        try:
            raise error
        finally:
            del error  # its traceback has this frame, and would keep it and all frames below alive in a cycle
    try:
        arrays = _arrays_among(function, name, arguments)
    except TinygradError as refusal:  # says what the first error meant
        raise refusal from None
    if all(arrays[parameter] is value for parameter, value in arguments.items()):
        complain(error, name, args, settings)
    try:
        return function(**arrays)
    except RESTATED as another:
        complain(another, name, arrays.values())


def advise(error: Exception) -> None:
    """Add to an error of Python or NumPy in a user's own code what to write there, if the name is one of PyTorch's."""
    if hasattr(error, "__notes__") or isinstance(error, TinygradError) or _is_ours(error):
        return
    text = str(error)
    if setting := re.search(r"\(\) got an unexpected keyword argument '(\w+)'", text):
        instead = instead_of_setting(setting[1])
    elif missing := re.fullmatch(r"module 'numpy' has no attribute '(\w+)'", text):
        instead = instead_of_name("tinygrad_lite", missing[1])
    elif missing := re.match(r"'(?:numpy\.\w+|Recorded)' object has no attribute '(\w+)'", text):
        instead = instead_of_method(missing[1])
    elif text == "'int' object is not callable":
        called = getattr(expression_at(_calling(error)), "func", None)
        instead = "x.shape, or x.shape[i]" if getattr(called, "attr", "") == "size" else ""
    elif re.search(r"argument '\w+' \(position \d+\) must be Tensor, not ", text):
        instead = "layers and functions of tinygrad_lite.nn, or NumPy's functions: PyTorch's take its own tensors alone"
    elif re.fullmatch(r"Cannot interpret '\d+' as a data type", text):
        instead = "the shape as a tuple, as in np.zeros((2, 3))"
    else:
        instead = ""
    if instead:
        error.add_note(f"Coming from PyTorch? Here, write {instead}.")


def advised(function: Callable[P, T]) -> Callable[P, T]:
    """A function that calls a user's code, and advises on errors in it, and on keywords of other libraries."""

    @wraps(function)
    def called(*args: P.args, **settings: P.kwargs) -> T:
        try:
            return function(*args, **settings)
        except RESTATED as error:
            refuse_settings(function.__name__, function, settings)
            _refuse_positions(function, args)
            _refuse_missing(function, settings)
            advise(error)
            raise

    return called


def _refuse_positions(function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """Raise if a call passes more arguments by position than the function takes so."""
    parameters = signature(function).parameters.values()
    named = [x.name for x in parameters if x.kind is Parameter.KEYWORD_ONLY]
    positional = [x.name for x in parameters if x.kind is Parameter.POSITIONAL_OR_KEYWORD]
    takes_any = any(x.kind is Parameter.VAR_POSITIONAL for x in parameters)
    if len(args) > len(positional) and named and not takes_any:
        raise UsageError(
            f"{function.__name__} takes {len(positional)} arguments by position, {', '.join(positional)}, and the "
            f"others by name, such as {named[0]}=; got {len(args)} by position"
        )


def _refuse_missing(function: Callable[..., Any], settings: Mapping[str, Any]) -> None:
    """Raise if a call lacks an argument that has a name alone and no default."""
    for x in signature(function).parameters.values():
        if x.kind is Parameter.KEYWORD_ONLY and x.default is Parameter.empty and x.name not in settings:
            raise UsageError(f"{function.__name__} needs {x.name}, by its name: pass {x.name}=...")


def _arguments(
    function: Callable[..., Any], args: tuple[Any, ...], settings: Mapping[str, Any]
) -> dict[str, Any] | str:
    """The arguments of a call by name, or why the function does not take them."""
    try:
        return dict(signature(function).bind(*args, **settings).arguments)
    except TypeError as misfit:
        return str(misfit)


def _calling(error: Exception) -> FrameType:
    """The innermost frame that an error passed through, except those of the libraries that it called."""
    frames = [step.tb_frame for step in steps_of(error.__traceback__)]
    own = [x for x in frames if x.f_globals.get("__name__", "").partition(".")[0] not in LIBRARIES]
    return (own or frames)[-1]


def _is_ours(error: Exception) -> bool:
    """Whether our code met an error, not the user's."""
    return _calling(error).f_code.co_filename.startswith(_PACKAGE)


def _arrays_among(function: Callable[..., Any], name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call by name, with an array for each list where the function takes arrays."""
    parameters = signature(function).parameters.values()
    annotations = function.__annotations__  # ours, which can be evaluated
    first = next(iter(arguments), "")  # which may not be left out, unlike a bias
    takes_arrays = {
        x.name
        for x in parameters
        if annotations.get(x.name) is Any and x.kind is Parameter.POSITIONAL_OR_KEYWORD and x.name not in _NO_ARRAYS
    }
    return {
        parameter: _as_array(x, f"{name}: {parameter}")
        if parameter in takes_arrays and (x is not None or parameter == first)
        else x
        for parameter, x in arguments.items()
    }


def _as_array(x: Any, name: str) -> Any:
    """An argument as it is, or the array of a list or a tensor of PyTorch's; raises if it is no array and no number."""
    dtype = getattr(x, "dtype", None)
    if isinstance(x, list) or type(x) in (np.ndarray, tuple) or (dtype and not isinstance(dtype, np.dtype)):
        try:
            array = numbers_of(x, name)
        except RESTATED:
            if type(x) is tuple and any(hasattr(part, "__trace__") or type(part) is tuple for part in x):
                raise UsageError(
                    f"{name} is one tensor; got a tuple of {len(x)}, such as an LSTM returns: take the part that you "
                    "mean, as in output, state = lstm(x)"
                ) from None
            raise
        return x if array is x else array
    if dtype or isinstance(x, (int, float, complex, tuple)):
        return x
    advice = {
        "NoneType": ", which a function without `return` gives: does a forward lack it?",
        "generator": ": write np.stack(list(x)), or np.array(list(x))",
    }.get(type(x).__name__, "")
    if hasattr(x, "to_numpy"):
        as_numpy(x)  # which refuses what the conversion would hide
        advice = ": write x.to_numpy(), in the order of columns that you mean"
    kind = "None" if x is None else f"a {type(x).__name__}"
    raise UsageError(f"{name} is a tensor, an array or a list of numbers; got {kind}{advice}")
