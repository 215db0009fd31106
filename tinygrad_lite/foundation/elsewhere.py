"""Errors that say what to write in place of a name or a keyword that PyTorch has and this package has not."""

import itertools
import sys
from collections.abc import Callable, Mapping
from functools import cache
from inspect import Parameter, getattr_static
from opcode import opmap
from typing import TYPE_CHECKING, Any, NoReturn, Self

from tinygrad_lite.errors import UsageError, warn
from tinygrad_lite.foundation.other_settings import instead_of_setting, short
from tinygrad_lite.foundation.pytorch_names import ENTRIES_METHODS, METHODS, MODULE_METHODS, NAMES, instead_of_name
from tinygrad_lite.foundation.signatures import signature

_ARRAYS = ("weight", "pos_weight", "_weight", "_random_samples", "values")
"""Settings of layers, losses and lists of parameters that may be arrays."""

_PLAIN = (int, float, bool, str)
"""The types of settings that cannot be sizes along several axes."""


class _Missing:
    """An attribute that raises an error which says what to write instead.

    A `__getattr__` would do the same for every name, but slows down all other reads of attributes.
    """

    def __init__(self, name: str, instead: str) -> None:
        self._name, self._instead = name, instead

    def __get__(self, instance: Any, owner: type) -> Any:
        is_read_by_letters = owner.__name__[1:2].isupper()  # a UNet, but an Upsample
        article = "an" if owner.__name__.startswith(tuple("AEIO" if is_read_by_letters else "AEIOU")) else "a"
        reason = f"{article} {owner.__name__} has no attribute {self._name!r}: write {self._instead}"
        # Without `name`, Python adds no "Did you mean" of its own behind the advice.
        raise AttributeError(reason, obj=owner if instance is None else instance)


class Elsewhere:
    """Says what to write in place of a method that PyTorch's tensors have."""

    __slots__ = ()

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name not in METHODS]


_OF_TENSORS = {
    "data": "x.detach() for the value as a constant, since no array belongs to x under tg.jvp and tg.vmap; or x itself",
    "grad": "tg.grad(f), which returns a gradient and nests with tg.jvp and tg.vmap",
}
"""What to write in place of an attribute that tensors have, and values of forward mode and of stacks have not."""


class AttributesElsewhere(Elsewhere):
    """Says what to write in place of methods that PyTorch's tensors have, and of attributes that only tensors have."""

    __slots__ = ()

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name not in _OF_TENSORS]


class EntriesElsewhere:
    """Says what to write in place of a method that JAX's `x.at[index]` has."""


class SettingsElsewhere:
    """Says what to write in place of a keyword that PyTorch's class of the same name takes."""

    if not TYPE_CHECKING:  # a type checker would take it for a promise that any argument will do

        def __new__(cls, /, *args: Any, **settings: Any) -> Self:
            if cls.__init__ is object.__init__ and (args or settings):
                if cls.__module__.startswith("tinygrad_lite."):
                    refuse_settings(cls.__name__, lambda: None, settings)
                raise TypeError(f"{cls.__name__}() takes no arguments")
            is_ours = (getattr(cls.__init__, "__module__", None) or "").startswith("tinygrad_lite.")
            if is_ours and (args or settings):  # a user's own class has no counterpart, and its code may have no module
                refuse_settings(cls.__name__, cls.__init__, settings)
                _refuse_arguments(cls, args, settings)
            return super().__new__(cls)


class ModulesElsewhere(SettingsElsewhere):
    """Says what to write in place of a method that PyTorch's modules have, and of a layer made with its input."""

    _writes = False  # whether PyTorch's layer with these settings writes into its input

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "reset_parameters" in vars(cls):
            _warn_of_first_values(cls)

    if not TYPE_CHECKING:

        def __new__(cls, /, *args: Any, **settings: Any) -> Self:
            is_layer = cls.__module__.startswith("tinygrad_lite.nn.") and ".utils." not in cls.__module__
            if is_layer and any(getattr(x, "shape", ()) for x in args):
                _refuse_inputs(cls, args)
            made = super().__new__(cls, *args, **settings)
            parameters = getattr(getattr(cls.__init__, "__code__", None), "co_varnames", ())[1:]
            is_ours = "inplace" in parameters and cls.__module__.startswith("tinygrad_lite.")
            is_ours &= "Alpha" not in cls.__name__  # PyTorch's dropouts of this name leave inplace out of account
            if is_ours and {**dict(zip(parameters, args)), **settings}.get("inplace"):
                made._writes = True
            return made

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not isinstance(getattr_static(self, name, None), _Missing)]


for _owner, _table in (
    (Elsewhere, METHODS),
    (AttributesElsewhere, _OF_TENSORS),
    (EntriesElsewhere, ENTRIES_METHODS),
    (ModulesElsewhere, MODULE_METHODS),
):
    for _name, _instead in _table.items():
        setattr(_owner, _name, _Missing(_name, _instead))


_settings_of = cache(signature)  # which takes longer than to make a layer


def _refuse_arguments(kind: type, args: tuple[Any, ...], settings: Mapping[str, Any]) -> None:
    """Raise if a class is made with arguments that it does not take: Python's own error would name its base class."""
    made: Any = kind.__init__  # type: ignore[misc]
    if misfit := _misfit(made, len(args), tuple(settings)):
        raise TypeError(f"{kind.__name__}() {misfit}; it takes {', '.join([*_settings_of(made).parameters][1:])}")


@cache
def _misfit(function: Callable[..., Any], count: int, names: tuple[str, ...]) -> str:
    """Why a function does not take this many arguments and these keywords; empty if it does."""
    try:
        _settings_of(function).bind(None, *[None] * count, **dict.fromkeys(names))
    except TypeError as misfit:
        return str(misfit)
    return ""


def _refuse_inputs(kind: type, args: tuple[Any, ...]) -> None:
    """Raise if a layer or a loss is made with arrays, which its instances take, in place of settings."""
    made: Any = kind.__init__  # type: ignore[misc]
    own = [] if made is object.__init__ else [*_settings_of(made).parameters.values()][1:]
    if any(x.kind is Parameter.VAR_POSITIONAL for x in own):
        return
    for x, parameter in itertools.zip_longest(args, own[: len(args)]):
        shape = getattr(x, "shape", ())
        kind_of_setting = made.__annotations__[parameter.name] if parameter else None  # ours, which can be evaluated
        may_be_sizes = parameter is not None and kind_of_setting not in _PLAIN
        kinds = "iuf" if "[float]" in str(kind_of_setting) else "iu"
        are_sizes = may_be_sizes and len(shape) == 1 and x.dtype.kind in kinds
        if shape and not are_sizes and (parameter is None or parameter.name not in _ARRAYS):
            settings = "..." if any(x.default is Parameter.empty for x in own) else ""
            role = f"{parameter.name} is a setting" if parameter else "it has fewer settings"
            raise UsageError(
                f"{kind.__name__}: {role}, got an array of shape {tuple(shape)}: make the layer first and call it, as "
                f"in layer = {kind.__name__}({settings}); layer({', '.join('xy'[: len(args)])})"
            )


def _warn_of_first_values(kind: type) -> None:
    """Warn about a `reset_parameters` that PyTorch's layer of this name calls for its subclasses, and ours does not."""
    makers = [getattr(vars(base).get("__init__"), "__code__", None) for base in kind.__mro__]
    if any(made and "reset_parameters" in made.co_names for made in makers):
        return
    layer = next(base for base in kind.__mro__ if base.__module__.startswith("tinygrad_lite.nn."))
    if layer.__module__ not in ("tinygrad_lite.nn.module", "tinygrad_lite.nn.containers"):
        warn(
            f"PyTorch's {layer.__name__} calls reset_parameters when it is made, and so that of {kind.__name__}; here "
            f"nothing calls it, and a {kind.__name__} begins with the first values of a {layer.__name__}: call "
            "self.reset_parameters() in its __init__"
        )


def warn_of_writing(first: Any) -> None:
    """Warn if a block that begins with this layer writes into its input in PyTorch, as dropout of nothing does not."""
    if getattr(first, "_writes", False) and getattr(first, "p", None) != 0:
        warn(
            f"a Sequential that begins with {first.summary()} in place writes into its input in PyTorch, where "
            "x + block(x) is therefore another number: here x stays as it is. If x is used again, apply the function "
            "to it before the block; and leave out inplace=True"
        )


def refuse_settings(name: str, function: Callable[..., Any], settings: Mapping[str, Any]) -> None:
    """Raise if a call passes keywords that another library's function like this one takes, and this one does not."""
    advice = {setting: instead_of_setting(name, setting, value) for setting, value in settings.items()}
    if any(advice.values()):
        known = signature(function).parameters
        if any(x.kind is Parameter.VAR_KEYWORD for x in known.values()):
            return
        listed = [
            f"{setting}={short(settings[setting])}: write {instead}"
            for setting, instead in advice.items()
            if instead and setting not in known
        ]
        if listed:
            raise UsageError(f"{name} has no setting {'; and no '.join(listed)}")


def unknown_names(module: str, others: Callable[[str], str] = lambda name: "") -> Callable[[str], NoReturn]:
    """A `__getattr__` for one of our modules, which says what to write in place of a name that PyTorch's has.

    Args:
        others: what to write in place of names that are in no table; empty if it knows nothing.
    """

    def unknown(name: str) -> NoReturn:
        there = sys.modules[module]
        reason = f"module {module!r} has no attribute {name!r}"
        instead = instead_of_name(module, name) or ("" if name.startswith("_") else others(name))
        if not instead:
            raise AttributeError(reason, name=name, obj=there)
        if _is_import(sys._getframe(1)):  # after an AttributeError, the import would write a message of its own
            raise ImportError(f"{reason}: write {instead}", name=module)
        raise AttributeError(f"{reason}: write {instead}", obj=there)

    return unknown


class UnknownModules:
    """Python's last finder of modules, which says what to write in place of one that PyTorch's package has."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> None:
        """Find nothing, as no other finder did.

        Raises:
            ModuleNotFoundError: if the module is one of PyTorch's, or belongs to a package of ours that has its names.
        """
        package, _, module = name.rpartition(".")
        if package not in NAMES or module.startswith("_"):
            return
        instead = instead_of_name(package, module)
        if not instead and "." in package:
            instead = f"from {package} import ..., where all names of PyTorch's modules inside it are"
        if instead:
            raise ModuleNotFoundError(f"there is no module {name!r}: write {instead}", name=name)


def _is_import(caller: Any) -> bool:
    """Whether Python's `from … import …` asks a package or a file for a name."""
    if caller.f_code.co_name == "__getattr__":  # of the package, which asks here
        caller = caller.f_back
    of_a_package = caller.f_code.co_filename == "<frozen importlib._bootstrap>"
    return bool(of_a_package or caller.f_code.co_code[caller.f_lasti] == opmap["IMPORT_FROM"])
