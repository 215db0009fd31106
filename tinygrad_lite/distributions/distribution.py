"""What all distributions have in common: their parameters, the shapes of their batches, and checks of both."""

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from functools import wraps
from typing import Any, ClassVar, Self

import numpy as np

from tinygrad_lite.distributions.constraints import Constraint
from tinygrad_lite.distributions.noise import Rng, Shape
from tinygrad_lite.engine.grad_mode import no_grad
from tinygrad_lite.engine.op import Array, Traced
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import InputError, ShapeError, UsageError
from tinygrad_lite.foundation.elsewhere import SettingsElsewhere
from tinygrad_lite.foundation.foreign import numbers_of
from tinygrad_lite.foundation.settings import whole
from tinygrad_lite.ops.requirements import refuse_where
from tinygrad_lite.transforms.custom import stop_gradient


class Distribution(SettingsElsewhere):
    """A batch of distributions of one kind.

    The parameters are numbers, arrays or tensors; they broadcast to the shape of the batch. A value has the shape
    `sample_shape + batch_shape + event_shape`, and its `log_prob` the shape `sample_shape + batch_shape`.

    Attributes:
        arg_constraints: what each parameter must be, by name.
        support: where the values lie.
        has_rsample: whether there is `rsample`, a sample through which gradients flow to the parameters.
        batch_shape: the shape of the parameters, one set of them for each value.
        event_shape: the shape of one value.
        validate_args: whether parameters and values are checked.
    """

    arg_constraints: ClassVar[Mapping[str, Constraint]]
    support: Constraint
    has_rsample: ClassVar[bool] = False
    has_enumerate_support: ClassVar[bool] = False
    event_shape: Shape = ()
    _unbroadcast: Mapping[str, tuple[Array, Array]]
    """The parameters that were broadcast to the shape of the batch: before, and after."""
    _is_weak = False  # all parameters are Python numbers, so that what they meet says the dtype

    def __init_subclass__(cls) -> None:
        for name in ("log_prob", "cdf", "icdf"):
            if name in vars(cls):
                setattr(cls, name, _in_dtype_of_value(vars(cls)[name]))

    def _take(self, validate_args: bool | None, **parameters: Any) -> None:
        """Make fields of the parameters: arrays or tensors of one dtype, broadcast to the shape of the batch."""
        self.validate_args = validate_args is not False
        self._is_weak = all(_is_number(x) for name, x in parameters.items() if name != "total_count")
        passed = (x.dtype for name, x in parameters.items() if hasattr(x, "dtype") and name != "total_count")
        self.dtype = np.result_type(1.0, *(dtype for dtype in passed if getattr(dtype, "kind", "") == "f"))
        self._names = tuple(parameters)
        events = {name: self.arg_constraints[name].event_dim for name in parameters}
        arrays = {name: self._checked_argument(name, x) for name, x in parameters.items()}
        batches = [x.shape[: x.ndim - events[name]] for name, x in arrays.items()]
        try:
            self.batch_shape = batches[0] if len(set(batches)) == 1 else np.broadcast_shapes(*batches)
        except ValueError:
            shapes = ", ".join(f"{name} of shape {x.shape}" for name, x in arrays.items())
            raise ShapeError(f"{type(self).__name__}: the parameters must broadcast, got {shapes}") from None
        unbroadcast: dict[str, tuple[Array, Array]] = {}
        for name, x in arrays.items():
            shape = self.batch_shape + x.shape[x.ndim - events[name] :]
            wide = x if x.shape == shape else np.broadcast_to(x, shape)
            if wide is not x:
                unbroadcast[name] = x, wide
            setattr(self, name, wide)
        self._unbroadcast = unbroadcast

    def _narrow(self, name: str) -> Array:
        """A parameter before it was broadcast: for a long computation with this parameter alone, such as log Γ."""
        now = getattr(self, name)
        before, after = self._unbroadcast.get(name, (now, now))
        return before if after is now else now  # a subclass may have set another one

    def _checked_argument(self, name: str, x: Array) -> Array:
        constraint = self.arg_constraints[name]
        x = as_array(f"{type(self).__name__}: {name}", x, self.dtype)
        x = x if x.dtype == self.dtype else x.astype(self.dtype)
        if x.ndim < constraint.event_dim:
            raise ShapeError(
                f"{type(self).__name__}: {name} needs at least {constraint.event_dim} axes, got shape {x.shape}"
            )
        self._require(constraint, name, x)
        return x

    def _require(self, constraint: Constraint, role: str, x: Array) -> None:
        if self.validate_args:
            values = _value(x)
            holds = constraint.holds(values)
            if type(holds) in (np.ndarray, np.bool_) and holds.all():  # a recording has neither
                return
            fails = np.logical_not(holds)
            message = f"{type(self).__name__}: {role} must be {constraint.words}, got {{}}"
            refuse_where(np.broadcast_to(fails, np.broadcast_shapes(fails.shape, x.shape)), values, message=message)

    def _checked(self, value: Array) -> Array:
        """A value as an array of the distribution's dtype or a finer one, after checking its shape and its range."""
        value = as_array(f"{type(self).__name__}: a value", value, self.dtype)
        expected = self.batch_shape + self.event_shape
        if value.shape[value.ndim - len(expected) :] != expected:
            self._check_shape(value.shape, expected)
        self._require(self.support, "a value", value)
        return value

    def _check_shape(self, shape: Shape, expected: Shape) -> None:
        count = len(self.event_shape)
        try:
            if shape[len(shape) - count :] != self.event_shape:
                raise ValueError
            np.broadcast_shapes(shape, expected)
        except ValueError:
            raise ShapeError(
                f"{type(self).__name__}: a value must have a shape that broadcasts with {expected}"
                f"{f' and ends with {self.event_shape}' if count else ''}, got {shape}"
            ) from None

    def _extended_shape(self, sample_shape: Any) -> Shape:
        return (*self._shape("sample_shape", sample_shape), *self.batch_shape, *self.event_shape)

    def _shape(self, name: str, shape: Any) -> Shape:
        if type(shape) is tuple and not shape:
            return ()
        is_number = not isinstance(shape, Iterable) or getattr(shape, "shape", None) == ()
        lengths = (shape,) if is_number else shape
        return tuple([whole(f"{type(self).__name__}: a length in {name}", n, least=0) for n in lengths])

    def sample(self, sample_shape: Any = (), rng: Rng = None) -> Array:
        """Random values, through which no gradient flows."""
        with no_grad():
            return stop_gradient(self.rsample(sample_shape, rng))

    def rsample(self, sample_shape: Any = (), rng: Rng = None) -> Array:
        """Random values as smooth functions of the parameters, through which gradients flow."""
        raise self._lacks("rsample", "use sample(), and log_prob for a gradient")

    def log_prob(self, value: Array) -> Array:
        """The logarithm of the density, or of the probability of a discrete value."""
        raise self._lacks("log_prob")

    def entropy(self) -> Array:
        """The mean of -log_prob."""
        raise self._lacks("entropy")

    def perplexity(self) -> Array:
        """e to the entropy."""
        return np.exp(self.entropy())

    def cdf(self, value: Array) -> Array:
        """The probability of all values up to this one."""
        raise self._lacks("cdf")

    def icdf(self, value: Array) -> Array:
        """The value at which the cdf has this value."""
        raise self._lacks("icdf")

    def enumerate_support(self, expand: bool = True) -> Array:
        """All values along a new first axis; the batch's other axes have length 1 unless expanded."""
        raise self._lacks("enumerate_support")

    @property
    def mean(self) -> Array:
        raise self._lacks("mean")

    @property
    def mode(self) -> Array:
        """The most probable value."""
        raise self._lacks("mode")

    @property
    def variance(self) -> Array:
        raise self._lacks("variance")

    @property
    def stddev(self) -> Array:
        """The root of the variance."""
        return np.sqrt(self.variance)

    def expand(self, batch_shape: Any) -> Self:
        """The same distribution with its parameters broadcast to a larger batch."""
        batch_shape = self._shape("batch_shape", batch_shape)
        try:
            fits = np.broadcast_shapes(self.batch_shape, batch_shape) == batch_shape
        except ValueError:
            fits = False
        if not fits:
            raise ShapeError(
                f"{type(self).__name__}: a batch of shape {self.batch_shape} does not broadcast to {batch_shape}"
            )
        parameters = {}
        for name in self._names:
            x = getattr(self, name)
            event_dim = self.arg_constraints[name].event_dim
            parameters[name] = np.broadcast_to(x, batch_shape + x.shape[x.ndim - event_dim :])
        kind: Any = type(self)
        made: Self = kind(**parameters, **self._settings(), validate_args=False)
        made.validate_args, made._is_weak = self.validate_args, self._is_weak
        return made

    def in_dtype_of(self, other: Any) -> Self:
        """The distribution in the dtype of a value or of another one, if all its own parameters are Python numbers."""
        dtype = getattr(other, "dtype", None)
        if not self._is_weak or dtype == self.dtype or getattr(dtype, "kind", "") != "f":
            return self
        made = copy(self)
        made.dtype = np.dtype(dtype)
        for name, x in vars(self).items():  # also what follows from the parameters
            if isinstance(x, (np.ndarray, np.generic)) and x.dtype == self.dtype:
                setattr(made, name, x.astype(dtype))
        return made

    def _settings(self) -> dict[str, Any]:
        """The arguments that are not parameters."""
        return {}

    def _lacks(self, method: str, advice: str = "") -> UsageError:
        return UsageError(f"{type(self).__name__} has no {method}{advice and f': {advice}'}")

    def __repr__(self) -> str:
        shown = (f"{name}: {x if x.size == 1 else x.shape}" for name in self._names for x in [getattr(self, name)])
        return f"{type(self).__name__}({', '.join(shown)})"


class derived:  # noqa: N801  # it is used as `property` is
    """A parameter that follows from the one that was passed; if it was itself passed, it is a field."""

    def __init__(self, rule: Callable[[Any], Array]) -> None:
        self.rule = rule
        self.__doc__ = rule.__doc__

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        return self if owner is None else self.rule(owner)


def _in_dtype_of_value(method: Callable[[Any, Array], Array]) -> Callable[[Any, Array], Array]:
    @wraps(method)
    def call(self: Any, value: Array) -> Array:
        return method(self.in_dtype_of(value), value)

    return call


def one_of(owner: object, **parameters: Any) -> dict[str, Any]:
    """The one parameter that was passed, of several that may be."""
    passed = {name: x for name, x in parameters.items() if x is not None}
    if len(passed) != 1:
        raise InputError(f"{type(owner).__name__} takes one of {', '.join(parameters)}, got {len(passed)} of them")
    return passed


def sum_last(x: Array, count: int) -> Array:
    """The sum over the last axes."""
    return np.sum(x, axis=tuple(range(-count, 0))) if count else x


def _is_number(x: Any) -> bool:
    return isinstance(x, (int, float)) and not hasattr(x, "dtype")


def _value(x: Any) -> Any:
    """The array in a tensor."""
    return x.data if isinstance(x, Tensor) else x


def as_array(name: str, x: Any, dtype: Any) -> Array:
    """An array or tensor of floating-point numbers, of this dtype if it has none of its own."""
    if not isinstance(x, Traced):
        x = np.asarray(numbers_of(x, name), dtype if isinstance(x, (int, float, list, tuple)) else None)
    if x.dtype.kind == "c":
        raise UsageError(f"{name} must be real, got {x.dtype}")
    return x if x.dtype.kind == "f" else x.astype(dtype)


def checked_distribution(owner: object, x: Any) -> Distribution:
    """The distribution that another one is made of; an error if it is something else."""
    if not isinstance(x, Distribution):
        raise UsageError(f"{type(owner).__name__} is made of a distribution, such as Normal(0.0, 1.0); got {x!r}")
    return x
