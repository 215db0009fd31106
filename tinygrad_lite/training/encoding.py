"""Values as JSON: numbers, strings and containers of them; arrays are put aside, under names that JSON refers to."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import InputError, UsageError

_INTEGERS = [f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)]
_DTYPES = ("bool", *_INTEGERS, "float16", "float32", "float64", "complex64", "complex128")
_GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")
_LAST = {"pos": 624, "buffer_pos": 4}  # positions among a generator's numbers, which NumPy does not check


def write(value: Any, name: str, arrays: dict[str, Array], depth: int = 0) -> Any:
    """A value as JSON; the arrays in it are added to `arrays`.

    What JSON lacks is an object with one key: {"array": name}, {"dict": [[key, value], …]}, {"tuple": […]},
    {"float": "inf"}, {"generator": state}. An array in another memory layout has "axes" as well, see `memory_order`.
    One of complex128 is {"complex": {"array": name}}, and stored with one more axis, for real and imaginary parts.

    Raises:
        UsageError: if there is a value of any other kind.
    """
    if depth > trees.DEEPEST:
        raise UsageError(f"{name} is nested more than {trees.DEEPEST} deep, or contains itself")

    def inside(key: Any, child: Any) -> Any:
        path = f"{name}{'.' if depth else '/'}{key}" if name else str(key)
        return write(child, path, arrays, depth + 1)

    match value:
        case None | str() | bool() | int():
            return value
        case Tensor() | np.ndarray() | np.generic():
            return _put_aside(value.data if isinstance(value, Tensor) else value, name, arrays)
        case float():
            return value if isfinite(value) else {"float": repr(value)}
        case list():
            return [inside(i, child) for i, child in enumerate(value)]
        case tuple():
            return {"tuple": [inside(i, child) for i, child in enumerate(value)]}
        case dict() if all(isinstance(key, (int, float, str, type(None))) for key in value):
            return {"dict": [[key, inside(key, child)] for key, child in value.items()]}
        case np.random.Generator() if type(value.bit_generator).__name__ in _GENERATORS:
            return {"generator": inside("state", value.bit_generator.state)}
    raise UsageError(
        f"{name} is {value!r:.80}, which cannot be saved: values are numbers, strings, None, arrays, NumPy's "
        "generators, lists, tuples, and dicts with numbers and strings as keys; a model, an optimiser and whatever "
        "else has state_dict and load_state_dict needs a name of its own, as in tg.save(path, model=model)"
    )


def _put_aside(array: Any, name: str, arrays: dict[str, Array]) -> dict[str, Any]:
    if (
        not hasattr(array, "dtype")
        or array.dtype.name not in _DTYPES
        or not isinstance(array, (np.ndarray, np.generic))
    ):
        raise UsageError(f"{name} is {array!r:.80}, and only arrays of {', '.join(_DTYPES)} can be saved")
    while name in arrays or name == "__metadata__":  # of the keys 1 and "1" of a dict, say
        name += "'"
    stored = np.asarray(array, array.dtype.newbyteorder("="), order="C")
    is_wide = array.dtype.name == "complex128"  # which the format lacks: pairs of numbers
    arrays[name] = stored[..., np.newaxis].view(float) if is_wide else stored
    axes = memory_order(array)
    ordered = {"array": name, "axes": axes} if axes != sorted(axes) else {"array": name}
    return {"complex": ordered} if is_wide else ordered


def memory_order(array: Any) -> list[int]:
    """The axes of an array, from the one with the largest steps in memory to the one with the smallest."""
    axes = range(array.ndim)
    return [*axes] if array.flags.c_contiguous else sorted(axes, key=lambda axis: -abs(array.strides[axis]))


def laid_out(array: Array, axes: list[int]) -> Array:
    """An array with the same entries in this memory order."""
    return np.ascontiguousarray(array.transpose(axes)).transpose(np.argsort(axes))


def read(value: Any, arrays: Mapping[str, Array]) -> Any:
    """The value that `write` turned into JSON, with its arrays.

    Raises:
        InputError: if `write` would not have written this.
    """
    reason: object = "it has another form"
    try:
        match value:
            case None | bool() | int() | float() | str():
                return value
            case list():
                return [read(child, arrays) for child in value]
            case {"complex": {"array": str(name), **order}}:
                pairs = arrays[name]
                if pairs.dtype != float or pairs.shape[-1:] != (2,):
                    raise InputError(f"{name} holds no pairs of real and imaginary parts")
                return read({"array": "", **order}, {"": pairs.view(complex)[..., 0]})
            case {"array": str(name), "axes": list(axes)}:
                return laid_out(arrays[name], axes)
            case {"array": str(name)}:
                return arrays[name][()]
            case {"dict": list(items)}:
                made = {key: read(child, arrays) for key, child in items}
                if "bit_generator" in made:  # the state of a generator, as a loader has it
                    _generator(made)
                return made
            case {"tuple": list(items)}:
                return tuple([read(child, arrays) for child in items])
            case {"float": "nan" | "inf" | "-inf" as text}:
                return float(text)
            case {"generator": state}:
                return _generator(read(state, arrays))
    except InputError:
        raise
    except (ValueError, TypeError, LookupError, OverflowError, AttributeError) as error:
        reason = error
    raise InputError(f"{value!r:.80} is not what tg.save writes: {reason}")


def _generator(state: Any) -> np.random.Generator:
    """A new generator with a state, if it is one that a generator can have."""
    if state["bit_generator"] not in _GENERATORS:
        raise InputError(f"NumPy has no generator {state['bit_generator']!r}")
    generator = np.random.Generator(getattr(np.random, state["bit_generator"])(0))
    generator.bit_generator.state = state
    numbers = {**state, **state["state"]}
    is_possible = all(0 <= numbers.get(name, 0) <= last for name, last in _LAST.items())
    if not is_possible or repr(generator.bit_generator.state) != repr(state):
        raise InputError(f"{state!r:.80} is not a state of a {state['bit_generator']}")
    return generator
