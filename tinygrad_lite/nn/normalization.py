"""Normalisation layers."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor, tensor
from tinygrad_lite.errors import InputError, ShapeError
from tinygrad_lite.nn import functional
from tinygrad_lite.nn.functional.checks import check_counts, shape_of
from tinygrad_lite.nn.module import Module

__all__ = [
    "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "GroupNorm", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d",
    "LayerNorm", "LocalResponseNorm", "RMSNorm",
]  # fmt: skip


class _Norm(Module):
    """A normalisation with a learnt scale and shift, at first 1 and 0."""

    weight: Tensor | None
    bias: Tensor | None

    def _learn(self, shape: Any, affine: bool, bias: bool, dtype: Any) -> None:
        self.weight = tensor(np.ones(shape, dtype), requires_grad=True) if affine else None
        self.bias = tensor(np.zeros(shape, dtype), requires_grad=True) if affine and bias else None

    def _named(self, function: Callable[..., Array], *arguments: Any) -> Array:
        """The result of a function; its errors about shapes name this layer."""
        try:
            return function(*arguments)
        except ShapeError as error:
            raise ShapeError(f"{self.summary()}: {error}") from error


class _RunningNorm(_Norm):
    """A normalisation per channel that may keep running statistics."""

    _axes: tuple[str, ...]  # a letter for each axis

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
        dtype: Any = np.float64,
    ) -> None:
        check_counts(type(self).__name__, num_features=num_features)
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self._learn(num_features, affine, bias, dtype)
        self.running_mean = tensor(np.zeros(num_features, dtype)) if track_running_stats else None
        self.running_var = tensor(np.ones(num_features, dtype)) if track_running_stats else None
        self.num_batches_tracked = tensor(0) if track_running_stats else None

    def reset_running_stats(self) -> None:
        """Begin the running statistics anew: mean 0, variance 1, no batch so far."""
        for x, first in ((self.running_mean, 0), (self.running_var, 1), (self.num_batches_tracked, 0)):
            if x is not None:
                x.replace(np.full_like(x.data, first))

    def _check_axes(self, x: Array) -> None:
        shape = shape_of(x)
        if len(shape) not in map(len, self._axes):
            known = " or ".join(f"({', '.join(axes)})" for axes in self._axes)
            raise ShapeError(f"{self.summary()} needs an input {known} with C = {self.num_features}, got shape {shape}")


class _BatchNorm(_RunningNorm):
    def forward(self, input: Array) -> Array:
        self._check_axes(input)
        by_batch = self.training or self.running_mean is None
        moves = self.training and self.track_running_stats
        statistics = (self.running_mean, self.running_var) if moves or not by_batch else (None, None)
        counter = self.num_batches_tracked if moves else None
        count = None if counter is None else counter.data + 1
        momentum = (0.0 if count is None else 1 / count) if self.momentum is None else self.momentum
        y = self._named(functional.batch_norm, input, *statistics, self.weight, self.bias, by_batch, momentum, self.eps)
        if counter is not None:
            counter.replace(count)
        return y


class BatchNorm1d(_BatchNorm):
    """(x - mean) / √(var + ε) · weight + bias for each channel of x (N, C) or (N, C, L).

    In training, mean and variance (the biased one) are those of the batch. A running mean and a running variance (the
    unbiased one) move towards them, by `momentum` of the way or, if that is None, so that they are the mean over all
    batches; in evaluation they replace the batch's. Without `track_running_stats`, the batch's are always used. Source:
    Ioffe and Szegedy (2015), Batch normalization.

    Raises:
        ShapeError: if x has other axes or channels, or in training one value alone for each channel.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> layer = tg.nn.BatchNorm1d(2)
        >>> y = layer(np.array([[1.0, 0.0], [3.0, 0.0]]))
        >>> layer.running_mean
        tensor([0.2, 0. ])
    """

    _axes = ("NC", "NCL")


class BatchNorm2d(_BatchNorm):
    """`BatchNorm1d` for images (N, C, H, W)."""

    _axes = ("NCHW",)


class BatchNorm3d(_BatchNorm):
    """`BatchNorm1d` for volumes (N, C, D, H, W)."""

    _axes = ("NCDHW",)


class _InstanceNorm(_RunningNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        bias: bool = True,
        dtype: Any = np.float64,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias=bias, dtype=dtype)

    def forward(self, input: Array) -> Array:
        self._check_axes(input)
        has_batch = len(shape_of(input)) == len(self._axes[-1])
        y = self._named(
            functional.instance_norm,
            input if has_batch else input[None],
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            self.momentum or 0.0,
            self.eps,
        )
        return y if has_batch else y[0]


class InstanceNorm1d(_InstanceNorm):
    """(x - mean) / √(var + ε) · weight + bias for each channel of each instance in x (N, C, L) or (C, L).

    With `track_running_stats`, running statistics serve in evaluation, as in `BatchNorm1d`.
    Source: Ulyanov et al. (2016), Instance normalization.

    Raises:
        ShapeError: if x has other axes or channels, or in training one value alone for each mean.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.nn.InstanceNorm1d(1, eps=0.0)(np.array([[[1.0, 3.0]]]))
        array([[[-1.,  1.]]])
    """

    _axes = ("CL", "NCL")


class InstanceNorm2d(_InstanceNorm):
    """`InstanceNorm1d` for images (N, C, H, W) or (C, H, W)."""

    _axes = ("CHW", "NCHW")


class InstanceNorm3d(_InstanceNorm):
    """`InstanceNorm1d` for volumes (N, C, D, H, W) or (C, D, H, W)."""

    _axes = ("CDHW", "NCDHW")


class _LastAxesNorm(_Norm):
    """A normalisation over the last axes."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: Any = np.float64,
    ) -> None:
        sizes = [*normalized_shape] if isinstance(normalized_shape, Iterable) else [normalized_shape]
        for size in sizes:
            check_counts(type(self).__name__, normalized_shape=size)
        self.normalized_shape = tuple(sizes)
        self.eps: float | None = eps
        self.elementwise_affine = elementwise_affine
        self._learn(self.normalized_shape, elementwise_affine, bias, dtype)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, {super().extra_repr()}"


class LayerNorm(_LastAxesNorm):
    """(x - mean) / √(var + ε) · weight + bias, with mean and variance over the last axes.

    x has shape (…, *normalized_shape). Source: Ba, Kiros and Hinton (2016), Layer normalization, eq. 4.

    Raises:
        ShapeError: if x does not end in that shape.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.nn.LayerNorm(2, eps=0.0, elementwise_affine=False)(np.array([1.0, 3.0]))
        array([-1.,  1.])
    """

    def forward(self, input: Array) -> Array:
        return self._named(functional.layer_norm, input, self.normalized_shape, self.weight, self.bias, self.eps)


class RMSNorm(_LastAxesNorm):
    """x / √(mean x² + ε) · weight, with the mean over the last axes; ε is by default the spacing of numbers at 1.

    Source: Zhang and Sennrich (2019), Root mean square layer normalization, eq. 4.

    Raises:
        ShapeError: if x does not end in normalized_shape.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.nn.RMSNorm(2, elementwise_affine=False)(np.array([1.0, 7.0]))
        array([0.2, 1.4])
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        dtype: Any = np.float64,
    ) -> None:
        super().__init__(normalized_shape, elementwise_affine=elementwise_affine, bias=False, dtype=dtype)
        self.eps = eps

    def forward(self, input: Array) -> Array:
        return self._named(functional.rms_norm, input, self.normalized_shape, self.weight, self.eps)


class GroupNorm(_Norm):
    """(x - mean) / √(var + ε) · weight + bias, with mean and variance over each group of channels of x (N, C, …).

    Source: Wu and He (2018), Group normalization, eq. 7.

    Raises:
        ShapeError: if x has other channels.
        InputError: if the channels do not divide into the groups.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.nn.GroupNorm(2, 4)(np.ones((3, 4, 5))).shape
        (3, 4, 5)
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        bias: bool = True,
        dtype: Any = np.float64,
    ) -> None:
        check_counts("GroupNorm", num_groups=num_groups, num_channels=num_channels)
        if num_channels % num_groups:
            raise InputError(f"GroupNorm cannot divide {num_channels} channels into {num_groups} groups of one size")
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        self._learn(num_channels, affine, bias, dtype)

    def forward(self, input: Array) -> Array:
        return self._named(functional.group_norm, input, self.num_groups, self.weight, self.bias, self.eps)


class LocalResponseNorm(_Norm):
    """x / (k + α · mean of x² over `size` neighbouring channels)ᵝ, see `functional.local_response_norm`."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        check_counts("LocalResponseNorm", size=size)
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Array) -> Array:
        return self._named(functional.local_response_norm, input, self.size, self.alpha, self.beta, self.k)
