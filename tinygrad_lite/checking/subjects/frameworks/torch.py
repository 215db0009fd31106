"""Functions and modules of PyTorch for the gradient checker."""

import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import copy, deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from torch.autograd import forward_ad

from tinygrad_lite import trees
from tinygrad_lite.checking.subjects.arguments import argument_names
from tinygrad_lite.checking.subjects.frameworks.closures import Copies
from tinygrad_lite.checking.subjects.frameworks.foreign_program import Held, Program
from tinygrad_lite.checking.subjects.frameworks.own_rules import AppliedFunction
from tinygrad_lite.checking.subjects.frameworks.torch_functions import kinds_behind, noting
from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import UsageError

_MANY_ROWS = 32  # fewer do not repay PyTorch's import of what batches them, half a second once in a process
_ENTRIES_TOGETHER = 2**21  # the most entries of gradients and weights in one run
_ROUNDINGS = 256  # how far a sum of rows may be from the gradient of the sum, in last digits


@dataclass(frozen=True)
class _Precision:
    """What is in float64 beside the arguments: tensors that a function makes, and those that it reads from outside."""

    made: bool
    read: bool


class TorchProgram(Program):
    """A function or a module with tensors and modules among its arguments.

    If any tensor among the arguments requires a gradient, those that do not are held fixed, as are frozen parameters.
    """

    def __init__(self, f: Callable[..., Any], inputs: Sequence[Any]) -> None:
        super().__init__(f, inputs)
        if isinstance(f, torch.nn.Module):
            self.name = type(f).__name__
            self.names = [*argument_names(f.forward, len(inputs)), ""]
            self._f, inputs = _called_last, (*inputs, f)
        self._reading_float64 = _IN_FLOAT64.of(self._f)
        self._f = _AS_THEY_ARE.of(self._f)
        self._originals = trees.map_leaves(lambda x: _Copy(x) if isinstance(x, torch.nn.Module) else x, tuple(inputs))
        leaves = trees.leaves(self._originals)
        self._some_require_gradients = any(isinstance(x, torch.Tensor) and x.requires_grad for x in leaves)
        self._varying = {id(x) for x in leaves if isinstance(x, torch.Tensor) and self._varies(x)}
        self.inputs = trees.map_leaves(self._opened, self._originals)
        held = [
            path
            for name, argument in zip(self.names, self._originals)
            for path, x in zip(trees.paths(argument, name), trees.leaves(argument))
            if isinstance(x, torch.Tensor) and x.dtype.is_floating_point and not self._varies(x)
        ]
        self.remarks += [f"{path} does not require a gradient: held fixed" for path in held]
        self._needs_history = False  # for its values
        self._detached: Collection[int] = ()
        self._kinds = {x.dtype for leaf in leaves for x in _tensors(leaf) if _is_numeric(x)}
        self.own_epsilon = max((torch.finfo(kind).eps for kind in self._kinds), default=0.0)

    def leave_out_detached(self) -> None:
        """Leave out results that do not require a gradient, if others do, as a measure that is only looked at."""
        with ExitStack() as stack:
            _, results = self._run(self.inputs, None, True, stack)
            require = [y.requires_grad for y in trees.leaves(results)]
        if any(require):
            self._detached = {i for i, requires in enumerate(require) if not requires}
            self.remarks += [f"result {i} does not require a gradient: left out" for i in sorted(self._detached)]

    def own_rules(self, *inputs: Any) -> Sequence[AppliedFunction]:
        """The calls of functions with a `backward` of their own, in float64, where it runs so."""
        calls: list[AppliedFunction] = []
        if not isinstance(self._f, AppliedFunction):
            with ExitStack() as stack:
                kinds = kinds_behind(trees.leaves(self._run(inputs, self._dtype, True, stack)[1]))
            with ExitStack() as stack:
                for kind in kinds:
                    stack.enter_context(noting(kind, calls))
                self._run(inputs, self._dtype, True, stack)
        return calls

    @contextmanager
    def preserved(self) -> Iterator[None]:
        """A block after which the states of PyTorch's random generators, and its modes, are as they were."""
        modes = torch.set_grad_enabled(torch.is_grad_enabled()), _default(torch.get_default_dtype())
        with torch.random.fork_rng(), modes[0], modes[1]:
            yield

    def differentiated(self, weights: Sequence[Array]) -> Self:
        """The gradient of the sum of the results with these weights, as a program of its own."""
        second = copy(self)
        second.name, second._weights = f"the gradient of {self.name}", weights
        second._needs_history = True
        return second

    def _dtypes(self) -> Sequence[Any]:
        """Double precision, also for the tensors that the function makes, or, if need be, without them.

        Where that is not enough, so are the modules and tensors that it reads from outside.
        """
        if not self._kinds - {torch.float64, torch.complex128}:
            return ()
        return [_Precision(made, read) for read in (False, True) for made in (True, False)]

    def _values(self, inputs: Sequence[Any], dtype: Any) -> Any:
        if not self._needs_history:
            try:
                return self._results(inputs, dtype, False)
            except RuntimeError:  # it differentiates itself, perhaps
                results = self._results(inputs, dtype, True)
                self._needs_history = True
                return results
        return self._results(inputs, dtype, True)

    def _results(self, inputs: Sequence[Any], dtype: Any, with_history: bool) -> Any:
        with ExitStack() as stack:
            _, results = self._run(inputs, dtype, with_history, stack)
            return trees.map_leaves(_numpy, results)

    def _pulled(self, inputs: Sequence[Any], weights: Sequence[Sequence[Array]], dtype: Any) -> list[list[Array]]:
        with ExitStack() as stack:
            leaves, results = self._run(inputs, dtype, True, stack)
            ends = trees.leaves(results)
            if len(weights) >= _MANY_ROWS and (rows := self._pulled_together(leaves, ends, weights)):
                return rows
            return [list(map(_numpy, self._gradients(leaves, ends, row, retain_graph=True))) for row in weights]

    def _pulled_together(
        self, leaves: Sequence[torch.Tensor], ends: Sequence[torch.Tensor], weights: Sequence[Sequence[Array]]
    ) -> list[list[Array]]:
        """The gradients of all weighted sums in one run of the reverse pass; none, if its rules do not take that.

        PyTorch may batch a rule wrongly, so a sum of the rows is compared with what the user's own run gives for it.
        """
        live = [number for number, y in enumerate(ends) if y.requires_grad]
        stacks = [torch.as_tensor(np.stack([row[number] for row in weights])).to(ends[number]) for number in live]
        if not live or len(weights) * sum(x.numel() for x in (*leaves, *ends)) > _ENTRIES_TOGETHER:
            return []
        try:
            with warnings.catch_warnings(action="ignore"):  # that some rule is run row by row
                found = torch.autograd.grad(
                    [ends[number] for number in live],
                    leaves,
                    stacks,
                    retain_graph=True,
                    allow_unused=True,
                    is_grads_batched=True,
                )
        except Exception:  # whatever a rule raises of tensors that are not the user's; alone, it runs as ever
            return []
        shares = np.cos(np.arange(len(weights)))
        gradients = [np.zeros((len(weights), *x.shape)) if g is None else _numpy(g) for x, g in zip(leaves, found)]
        summed = [sum(share * row[number] for share, row in zip(shares, weights)) for number in range(len(ends))]
        for together, alone in zip(gradients, self._gradients(leaves, ends, summed, retain_graph=True)):
            size = np.max(np.sum(np.abs(together), axis=0), initial=0)
            rounding = _ROUNDINGS * torch.finfo(alone.dtype).eps * size
            if not np.max(np.abs(np.tensordot(shares, together, 1) - _numpy(alone)), initial=0) <= rounding:
                return []
        return [[g[row] for g in gradients] for row in range(len(weights))]

    def changes(self, *inputs_and_tangents: Any) -> list[Array]:
        """The changes of the results by forward mode."""
        *inputs, tangents = inputs_and_tangents
        parts = [x for x in trees.leaves(tangents) if not isinstance(x, Held)]
        try:
            with (
                warnings.catch_warnings(action="ignore"),  # PyTorch's own
                forward_ad.dual_level(),
                ExitStack() as stack,
            ):
                _, results = self._run(inputs, self._dtype, self._needs_history, stack, parts)
                ends = trees.leaves(results)
                moves = [forward_ad.unpack_dual(y).tangent for y in ends]
                if all(move is None for move in moves):  # as of an operation that has no rule for it
                    raise NotImplementedError("forward mode does not reach the results")
                return [np.zeros(y.shape) if move is None else _numpy(move) for y, move in zip(ends, moves)]
        except RuntimeError as error:  # NotImplementedError is one
            raise NotImplementedError(str(error)) from error

    def _called(self, gradient: Callable[..., Any], inputs: Sequence[Any], others: Sequence[Any]) -> Any:
        with ExitStack() as stack:
            leaves, arguments = self._tensors(inputs, self._dtype, True, None, stack)
            kind = leaves[0].dtype
            f = (_IN_FLOAT64 if self._dtype and self._dtype.read else _AS_THEY_ARE).of(gradient)
            return f(*arguments, *trees.map_leaves(lambda x: _tensor(x, kind), others))

    def _as_numpy(self, x: Any) -> Any:
        return _numpy(x) if isinstance(x, torch.Tensor) else x

    def _run(
        self, inputs: Sequence[Any], dtype: Any, with_history: bool, stack: ExitStack, tangents: Any = None
    ) -> tuple[list[torch.Tensor], Any]:
        """The tensors that vary, and the results in their containers, for a block that the stack ends."""
        _enter_modes(stack, with_history, torch.float64 if dtype and dtype.made else None)
        leaves, arguments = self._tensors(inputs, dtype, with_history, tangents, stack)
        if with_history:  # else they are copies, into which a function may write
            arguments = trees.map_leaves(lambda x: x.clone() if isinstance(x, torch.Tensor) else x, arguments)
        f = self._reading_float64 if dtype and dtype.read else self._f
        results = self._checked(f(*arguments), _is_numeric)
        if self._detached:
            numbers = iter(range(len(trees.leaves(results))))
            results = trees.map_leaves(lambda y: None if next(numbers) in self._detached else y, results)
        if self._weights is not None:
            results = self._gradients(leaves, trees.leaves(results), self._weights, create_graph=True)
        return leaves, results

    def _gradients(
        self, leaves: Sequence[torch.Tensor], results: Sequence[torch.Tensor], weights: Sequence[Array], **options: Any
    ) -> list[torch.Tensor]:
        """The gradient of a weighted sum of the results by each tensor that varies."""
        # PyTorch takes seconds to import what it needs for weights that are handed to it
        terms = [_product(y, torch.as_tensor(w).to(y)) for y, w in zip(results, weights) if y.requires_grad]
        if not terms:
            return [torch.zeros_like(x) for x in leaves]
        total = terms[0] if len(terms) == 1 else torch.stack([term.double() for term in terms]).sum()
        return list(torch.autograd.grad(total, leaves, materialize_grads=True, allow_unused=True, **options))

    def _tensors(
        self, inputs: Sequence[Any], dtype: Any, with_history: bool, tangents: Any, stack: ExitStack
    ) -> tuple[list[torch.Tensor], Any]:
        """The tensors that vary, and the arguments in which they take the place of the originals."""
        dtype = None if dtype is None else torch.float64
        remaining, moves = iter(trees.leaves(inputs)), iter(tangents or ())
        leaves: list[torch.Tensor] = []

        def tensor_at(original: torch.Tensor) -> torch.Tensor:
            array = torch.from_numpy(np.array(next(remaining)))
            x = array.to(original.device, _as_wide(original.dtype, dtype))
            leaves.append(x)
            if with_history:
                _take_hooks(x.requires_grad_(), original)
            if tangents is None:
                return x
            return forward_ad.make_dual(x, torch.from_numpy(np.array(next(moves))).to(x))

        def argument(x: Any) -> Any:
            if isinstance(x, torch.Tensor):
                if id(x) in self._varying:
                    return tensor_at(x)
                next(remaining)
                return _widened(x.detach(), dtype).clone()
            if isinstance(x, _Copy):
                own = {id(parameter): tensor_at(parameter) for parameter in x.parameters.values()}
                return stack.enter_context(x.holding(own, dtype))
            next(remaining)
            return x

        return leaves, trees.map_leaves(argument, self._originals)

    def _varies(self, x: torch.Tensor) -> bool:
        return _is_numeric(x) and (x.requires_grad or not self._some_require_gradients)

    def _opened(self, x: Any) -> Any:
        """What stands for an argument outside PyTorch."""
        if isinstance(x, _Copy):
            return {name: _numpy(parameter) for name, parameter in x.parameters.items()}
        return _numpy(x) if isinstance(x, torch.Tensor) and self._varies(x) else Held(x)


def _product(y: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The weighted sum of the entries of a result."""
    return (y * weights.conj()).real.sum() if y.is_complex() else (y * weights).sum()


def _tensor(x: Any, kind: torch.dtype) -> Any:
    """An array or a number as a tensor, real numbers in the precision of a dtype."""
    if not isinstance(x, (np.ndarray, np.generic)):
        return x
    tensor = torch.as_tensor(np.array(x))
    return tensor.to(_as_wide(tensor.dtype, kind.to_real())) if _is_numeric(tensor) else tensor


def _called_last(*arguments: Any) -> Any:
    """The result of a module, the last argument, for the arguments before it."""
    *inputs, module = arguments
    return module(*inputs)


class _Copy:
    """A copy of a module, or, if PyTorch cannot copy it, the module itself.

    Attributes:
        parameters: the parameters that are not frozen.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        if isinstance(module, torch.jit.ScriptModule):
            raise UsageError("a TorchScript module cannot be run with other parameters: pass the original module")
        for name, x in module.named_parameters():
            if torch.nn.parameter.is_lazy(x):
                raise UsageError(f"the parameter {name} has no shape yet: call the module once with such inputs first")
        try:
            self._module = deepcopy(module)
        except RuntimeError:  # it holds the result of a computation
            self._module = module
        else:
            for x, original in zip(self._module.parameters(), module.parameters(), strict=True):
                _take_hooks(x, original)
        self.parameters = {name: x for name, x in self._module.named_parameters() if x.requires_grad}
        self._parts = [(part, dict(part._parameters), dict(part._buffers)) for part in self._module.modules()]

    @contextmanager
    def holding(self, tensors: Mapping[int, torch.Tensor], dtype: torch.dtype | None) -> Iterator[torch.nn.Module]:
        """A block in which the module holds other tensors as these parameters, and copies as its buffers."""
        try:
            for part, parameters, buffers in self._parts:
                for name, x in parameters.items():
                    part._parameters[name] = tensors[id(x)] if id(x) in tensors else _widened(x, dtype)
                for name, x in buffers.items():
                    part._buffers[name] = None if x is None else _widened(x, dtype).clone()
            yield self._module
        finally:
            for part, parameters, buffers in self._parts:
                part._parameters.update(parameters)
                part._buffers.update(buffers)


def _is_numeric(x: Any) -> bool:
    return isinstance(x, torch.Tensor) and (x.dtype.is_floating_point or x.dtype.is_complex)


def _tensors(x: Any) -> list[torch.Tensor]:
    return list(x.parameters.values()) if isinstance(x, _Copy) else [x] * isinstance(x, torch.Tensor)


def _take_hooks(x: torch.Tensor, original: torch.Tensor) -> None:
    """Give a tensor the hooks that change the gradient of another."""
    for hook in (original._backward_hooks or {}).values() if x.requires_grad else ():
        x.register_hook(hook)


def _enter_modes(stack: ExitStack, with_history: bool, dtype: torch.dtype | None) -> None:
    """Enter the modes to run a function in, where PyTorch is in others; new tensors have the dtype, if one is given."""
    if torch.is_inference_mode_enabled():
        stack.enter_context(torch.inference_mode(False))
    if torch.is_grad_enabled() != with_history:
        stack.enter_context(torch.set_grad_enabled(with_history))
    if dtype is not None and dtype != torch.get_default_dtype():
        stack.enter_context(_default(dtype))


@contextmanager
def _default(dtype: torch.dtype) -> Iterator[None]:
    """A block in which tensors are made in a dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _widened(x: Any, dtype: torch.dtype | None) -> Any:
    return x.to(_as_wide(x.dtype, dtype)) if _is_numeric(x) else x


def _as_wide(own: torch.dtype, dtype: torch.dtype | None) -> torch.dtype:
    """The dtype to compute in, if any, for numbers of the same kind as `own`."""
    if dtype is None:
        return own
    return dtype.to_complex() if own.is_complex else dtype


def _numpy(x: torch.Tensor) -> Array:
    """A copy in NumPy; what NumPy does not have becomes float32 or complex64."""
    if x.layout != torch.strided:  # gradients of embeddings may be sparse
        x = x.to_dense()
    if x.dtype in _KNOWN:
        x = x.to(_KNOWN[x.dtype])
    return np.array(x.numpy(force=True))


_KNOWN = {torch.bfloat16: torch.float32, torch.complex32: torch.complex64}  # in place of what NumPy does not have


def _copy(in_float64: bool, x: Any) -> Any:
    """A copy of a module or tensor that a function reads."""
    if isinstance(x, torch.nn.Module):
        try:
            return deepcopy(x).double() if in_float64 else deepcopy(x)
        except RuntimeError:  # it holds the result of a computation, or is compiled
            return x
    if in_float64 and (x.dtype.is_floating_point or x.dtype.is_complex):
        return x.to(torch.complex128 if x.dtype.is_complex else torch.float64)
    return x


def _is_of_torch(x: Any) -> bool:
    return isinstance(x, (torch.nn.Module, torch.Tensor))


_IN_FLOAT64, _AS_THEY_ARE = (Copies(_is_of_torch, partial(_copy, in_float64)) for in_float64 in (True, False))
