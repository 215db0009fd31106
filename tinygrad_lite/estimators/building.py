"""The module and the optimiser of an estimator, from its parameters and the shapes of the data."""

from collections.abc import Mapping
from copy import deepcopy
from inspect import isclass
from typing import Any

import numpy as np

from tinygrad_lite import optim
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import InputError, UsageError
from tinygrad_lite.estimators.settings import check_settings, names_taken_by
from tinygrad_lite.foundation.signatures import signature
from tinygrad_lite.nn import Module, init


def built(
    module: Any, settings: Mapping[str, Any], inputs: int, outputs: int, dtype: Any, rng: np.random.Generator
) -> Module:
    """A module of these sizes whose draws depend on rng: a copy of one, or what a class or a function builds.

    Raises:
        InputError: if it does not take the settings.
        UsageError: if it is or builds no module.
    """
    check_settings(module, "module", settings)
    if isinstance(module, Module):
        made = deepcopy(module)
    elif callable(module):
        names = names_taken_by(module) or ()
        own = rng.spawn(1)[0]
        offered = {name: x for name, x in (("rng", own), ("dtype", dtype)) if name in names and name not in settings}
        _check_call(module, inputs, outputs, {**offered, **settings})
        with init.drawing_from(own):
            made = module(inputs, outputs, **offered, **settings)
    else:
        made = module
    if not isinstance(made, Module):
        came = f"its result is {made!r}" if callable(module) else f"got {module!r}"
        raise UsageError(
            "module must be a tg.nn.Module, or a class or a function that builds one from (n_features_in, n_outputs); "
            f"{came}"
        )
    for _, generator in made.named_generators():
        generator.bit_generator.state = type(generator.bit_generator)(rng.integers(2**63)).state
    return made


def _check_call(module: Any, inputs: int, outputs: int, settings: Mapping[str, Any]) -> None:
    """Raise `InputError` if a class or a function does not take two sizes first, and these settings by name."""
    try:
        taken = signature(module)
    except ValueError:  # written in C, without a signature: the call will show
        return
    try:
        taken.bind(inputs, outputs, **settings)
    except TypeError as error:
        name = getattr(module, "__name__", "module")
        raise InputError(
            f"the estimator calls {', '.join([f'{name}(n_features_in, n_outputs', *settings])}), and {name}{taken} "
            f"does not take that: {error}. Let the first two parameters be these sizes, or pass a function whose first "
            "two are, and which builds the module"
        ) from None


def dtype_of(module: Module) -> Any:
    """The dtype in which a module computes: that of its first parameter."""
    return next((x.dtype for x in module.parameters() if isinstance(x, Tensor)), np.dtype(float))


def optimizer_class(optimizer: Any) -> Any:
    """The class of this name in `tg.optim`, or the argument itself if it is not a name."""
    return getattr(optim, optimizer, optimizer) if isinstance(optimizer, str) else optimizer


def optimizer_of(module: Module, optimizer: Any, lr: float, settings: Mapping[str, Any]) -> optim.Optimizer:
    """The optimiser of a module's parameters.

    Raises:
        InputError: if none has this name, or it does not take the settings.
        UsageError: if it is not a class of optimisers.
    """
    function = optimizer_class(optimizer)
    if isinstance(function, str):
        names = [name for name, x in vars(optim).items() if isclass(x) and optim.Optimizer in x.__mro__[1:]]
        raise InputError(f"there is no optimizer {optimizer!r} in tg.optim, which has {', '.join(names)}")
    if not callable(function):
        raise UsageError(f"optimizer must be the name of a class in tg.optim, or such a class; got {optimizer!r}")
    check_settings(function, "optimizer", settings)
    made = function(module.parameters(), lr=lr, **settings)
    if not isinstance(made, optim.Optimizer):
        raise UsageError(f"optimizer must make a tg.optim.Optimizer; {function!r} made {type(made).__name__}")
    return made
