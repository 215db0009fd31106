"""Data-parallel training: several processes with a copy of the model each, which average their gradients by MPI.

`mpirun -n 4 python train.py` starts four processes. In a process that was started alone, all of this works as well, and
averages nothing.
"""

import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.engine.op import Traced
from tinygrad_lite.engine.tensor import Tensor, wrap
from tinygrad_lite.errors import InputError, MissingExtraError, UsageError
from tinygrad_lite.nn import Module
from tinygrad_lite.optim import Optimizer
from tinygrad_lite.transforms.raveling import ravel

__all__ = ["DistributedOptimizer", "average", "average_gradients", "broadcast", "rank", "shard", "size", "together"]

_LAUNCHED = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMI_RANK", "PMIX_RANK")
"""The environment variables that MPI launchers set."""


@cache
def _mpi() -> Any:
    """mpi4py's module; None if it is not installed and this process was started alone."""
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # RuntimeError if it finds no MPI
        if any(name in os.environ for name in _LAUNCHED):
            raise MissingExtraError("distributed", "mpi4py", "distributed") from error
        return None
    return MPI


def rank() -> int:
    """The number of this process, from 0."""
    return 0 if _mpi() is None else int(_mpi().COMM_WORLD.rank)


def size() -> int:
    """The number of processes."""
    return 1 if _mpi() is None else int(_mpi().COMM_WORLD.size)


@contextmanager
def together() -> Iterator[None]:
    """A block, or a decorated function, in which a process that stops by an error ends all others.

    They would otherwise wait for it forever. The error is printed with the number of its process and the name of the
    machine. (MPI itself ends the others if a process is killed.)

    Example:
        >>> import tinygrad_lite as tg
        >>> with tg.distributed.together():
        ...     print(tg.distributed.rank(), tg.distributed.size())
        0 1
    """
    try:
        yield
    except BaseException as error:
        if size() > 1 and not (isinstance(error, SystemExit) and not error.code):
            who = f"process {rank()} of {size()} ({socket.gethostname()}, PID {os.getpid()})"
            said = f"{traceback.format_exc()}{who} stopped with {type(error).__name__}, and ends the others"
            print(said, file=sys.stderr, flush=True)
            time.sleep(0.3)  # else a launcher may end before it has passed on what was printed
            _mpi().COMM_WORLD.Abort(1)
        raise


def broadcast(*objects: Any) -> None:
    """Give models, optimisers, loaders and whatever else has a state the state of process 0.

    Example:
        >>> import tinygrad_lite as tg
        >>> model = tg.nn.Linear(3, 1)  # begins at other random numbers in each process
        >>> tg.distributed.broadcast(model)
    """
    if size() > 1:
        states = [x.state_dict() for x in objects] if rank() == 0 else None
        for x, state in zip(objects, _mpi().COMM_WORLD.bcast(states)):
            x.load_state_dict(state)


def shard(data: Any) -> Any:
    """Every n-th row of each array for n processes, from row `rank()` on: this process's part of a batch or a dataset.

    All parts have the same length, so that the average over the processes is the one over the rows, and none makes
    a step that the others do not; up to n - 1 rows at the end are left out.

    Args:
        data: arrays, tensors or frames, alone or in nested containers.

    Raises:
        InputError: if there are fewer rows than processes.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> x, y = tg.distributed.shard((np.ones((6, 2)), np.arange(6)))
        >>> y
        array([0, 1, 2, 3, 4, 5])
    """
    return trees.map_leaves(_part, data)


def _part(rows: Any) -> Any:
    if not getattr(rows, "shape", ()):
        raise UsageError(f"shard takes rows of arrays, tensors and frames, got {rows!r}")
    whole = len(rows) - len(rows) % size()
    if not whole:
        raise InputError(f"shard: {len(rows)} rows are too few for {size()} processes: use drop_last=True, or fewer")
    return getattr(rows, "iloc", rows)[rank() : whole : size()]


def average(tree: Any) -> Any:
    """The mean over all processes of each number in nested containers, such as losses and gradients.

    All numbers travel in one flat array.

    Raises:
        UsageError: if a number requires a gradient, since it would be lost; or is not a floating-point number.

    Example:
        >>> import tinygrad_lite as tg
        >>> tg.distributed.average({"loss": 0.5})
        {'loss': np.float64(0.5)}
    """
    flat, unravel = ravel(tree)
    if isinstance(flat, Tensor) and flat.requires_grad:
        raise UsageError("average: the history of a value that requires a gradient would be lost: pass value.detach()")
    return unravel(_sum(flat) / size())


def _sum(flat: Any) -> Any:
    """The sum over all processes of a flat array of this process's own."""
    if size() == 1:
        return flat
    total = flat.numpy().copy() if isinstance(flat, Tensor) else flat
    _mpi().COMM_WORLD.Allreduce(_mpi().IN_PLACE, total)
    return wrap(total) if isinstance(flat, Tensor) else total


def average_gradients(parameters: Module | Iterable[Tensor]) -> None:
    """Replace the gradient of each parameter by its mean over all processes; call it after `backward`.

    All travel in one flat array. Where some processes alone have a gradient of a parameter, it is zero in the others.

    Example:
        >>> import tinygrad_lite as tg
        >>> w = tg.tensor([1.0, 2.0], requires_grad=True)
        >>> (w * w).sum().backward()
        >>> tg.distributed.average_gradients([w])
        >>> w.grad
        tensor([2., 4.])
    """
    weights = [*(parameters.parameters() if isinstance(parameters, Module) else parameters)]
    if size() == 1 or not weights:
        return
    if any(w.grad is not None and isinstance(w.grad.data, Traced) for w in weights):
        raise UsageError(
            "a compiled function cannot wait for other processes: compile the part up to backward(), and average the "
            "gradients after it"
        )
    kinds = {w.dtype for w in weights}
    parts = [np.ravel(np.zeros(w.shape, w.dtype) if w.grad is None else w.grad.numpy()) for w in weights]
    counts = np.array([w.grad is not None for w in weights], np.result_type(*kinds))
    total = _sum(np.concatenate([*parts, counts]))
    stops = np.cumsum([w.size for w in weights])
    for w, gradient, count in zip(weights, np.split(total, stops), total[stops[-1] :]):
        w.grad = wrap((gradient.reshape(w.shape) / size()).astype(w.dtype)[()]) if count else None


class DistributedOptimizer:
    """An optimiser that averages the gradients over all processes before each step of its own.

    With it, `tg.fit` trains one model in all processes; it clips the averaged gradient, and compiles what comes before
    and after the average. A schedule takes the optimiser inside.

    A compiled function cannot wait for other processes: with `step` in it, it runs without being compiled, and warns.

    Example:
        >>> import tinygrad_lite as tg
        >>> model = tg.nn.Linear(3, 1, rng=0)
        >>> optimizer = tg.distributed.DistributedOptimizer(tg.optim.Adam(model.parameters()))
        >>> optimizer.lr
        0.001
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer

    def __getattr__(self, name: str) -> Any:
        if name == "optimizer":  # of a copy that is being made
            raise AttributeError(name)
        return getattr(self.optimizer, name)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Average the gradients, and update the parameters; return the mean of what the closure returned."""
        if closure is None:
            average_gradients(self.optimizer.parameters)
            return self.optimizer.step()

        return self.optimizer.step(lambda: self.average(closure()))

    def average(self, loss: Any) -> Any:
        """Average the gradients, and return the mean of the losses."""
        average_gradients(self.optimizer.parameters)
        return average(loss)
