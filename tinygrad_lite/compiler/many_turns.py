"""Many turns of a compiled function: the same call again, or epochs of shuffled batches."""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.compiler.run import Run
from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor, wrap
from tinygrad_lite.errors import InputError, ShapeError
from tinygrad_lite.foundation.progress import progress
from tinygrad_lite.foundation.settings import whole

FIRST = 100  # turns in the first group, before we know how long a turn takes
Fitting = Callable[[Any, Any], Run | None]  # see `Compiled.fitting_if_any`
FEW = 16  # turns that take less time as calls: native turns load and store all arrays once more
CHUNK = 0.1  # seconds of native turns between two returns to Python


class _Turns:
    """The finished turns with their results, and the number of turns to do at once."""

    def __init__(self, function: Callable[..., Any], fitting: Fitting, show: Callable[[int], Any]) -> None:
        self._function = function
        self._fitting = fitting
        self._show = show
        self._results: list[list[Any]] = []
        self._template: Any = None
        self._size = FIRST

    def do(self, turns: int, args: Any, kwargs: Mapping[str, Any], stacks: Mapping[int, Array]) -> None:
        """Do some turns; each has its own arrays in place of some leaves of the arguments."""
        leaves = trees.leaves((args, kwargs))
        done = 0
        while done < turns:
            count = min(self._size, turns - done)
            run = self._fitting(*_turn(args, kwargs, stacks, done)) if turns > FEW else None
            start = perf_counter()
            parts = {i: stack[done : done + count] for i, stack in stacks.items()}
            made = None if run is None else run.repeat(count, leaves, parts)
            if run is None or made is None:
                count, results = 1, self._single(*_turn(args, kwargs, stacks, done))
            else:
                count, results = made
                self._template = run.returned
                if count == self._size:
                    self._size = max(1, int(count * CHUNK / (perf_counter() - start)))
            self._results.append(results)
            done += count
            self._show(count)

    def _single(self, args: Any, kwargs: Mapping[str, Any]) -> list[Any]:
        result = self._function(*args, **kwargs)
        self._template = trees.map_leaves(lambda x: isinstance(x, Tensor), result)
        arrays = [x.data if isinstance(x, Tensor) else x for x in trees.leaves(result)]
        return [np.asarray(x)[None] if isinstance(x, (np.ndarray, np.generic)) else x for x in arrays]

    def stacked(self) -> Any:
        """The results in the function's containers."""
        columns = iter(zip(*self._results))
        return trees.map_leaves(lambda is_wrapped: _stacked(next(columns), is_wrapped), self._template)


def _turn(args: Any, kwargs: Mapping[str, Any], stacks: Mapping[int, Array], turn: int) -> tuple[Any, Any]:
    """The arguments of one turn."""
    places = iter(range(len(trees.leaves((args, kwargs)))))

    def replaced(x: Any) -> Any:
        i = next(places)
        if i not in stacks:
            return x
        return wrap(stacks[i][turn].copy()[()]) if isinstance(x, Tensor) else stacks[i][turn]

    return trees.map_leaves(replaced, (args, dict(kwargs)))  # type: ignore[no-any-return]


def _stacked(parts: Sequence[Any], is_wrapped: bool) -> Any:
    if not isinstance(parts[0], np.ndarray):
        return parts[-1]
    if len({part.shape[1:] for part in parts}) > 1:
        shapes = " and ".join(sorted({str(part.shape[1:]) for part in parts}))
        raise ShapeError(
            f"results of the shapes {shapes} cannot be stacked: return the same shape each time, or pass drop_last=True"
        )
    joined = np.concatenate(parts)
    return wrap(joined) if is_wrapped else joined


def repeat(function: Callable[..., Any], fitting: Fitting, turns: int, args: Any, kwargs: Mapping[str, Any]) -> Any:
    """See `Compiled.repeat`."""
    whole("turns", turns)
    with _shown(turns) as show:
        made = _Turns(function, fitting, show)
        made.do(turns, args, kwargs, {})
    return made.stacked()


def epochs(
    function: Callable[..., Any],
    fitting: Fitting,
    arrays: Sequence[Any],
    batch_size: int,
    count: int,
    rng: np.random.Generator,
    drop_last: bool,
) -> Any:
    """See `Compiled.epochs`."""
    whole("epochs", count)
    whole("batch_size", batch_size)
    plain = [np.asarray(x.data if isinstance(x, Tensor) else x) for x in arrays]
    lengths = {len(x) if x.ndim else 0 for x in plain}
    if len(lengths) != 1:
        raise ShapeError(f"the arrays must have the same length, got {', '.join(str(x.shape) for x in plain)}")
    (length,) = lengths
    if batch_size > length:
        raise InputError(f"batch_size={batch_size} is larger than the arrays, which have {length} rows")
    full, rest = divmod(length, batch_size)
    rest = 0 if drop_last else rest
    kinds = [isinstance(x, Tensor) for x in arrays]
    with _shown(count * (full + bool(rest))) as show:
        made = _Turns(function, fitting, show)
        for _ in range(count):
            order = rng.permutation(length)
            for start, turns, rows in ((0, full, batch_size), (full * batch_size, 1, rest)):
                if rows:
                    chosen = order[start : start + turns * rows]
                    stacks = [x.take(chosen, 0).reshape(turns, rows, *x.shape[1:]) for x in plain]
                    example = tuple(wrap(x[0].copy()) if is_tensor else x[0] for x, is_tensor in zip(stacks, kinds))
                    made.do(turns, example, {}, dict(enumerate(stacks)))
    return made.stacked()


@contextmanager
def _shown(total: int) -> Iterator[Callable[[int], Any]]:
    """A function to call after finished turns: it moves a progress bar, and lets Ctrl-C take effect."""
    interrupted = False

    def note(*_: Any) -> None:
        nonlocal interrupted
        interrupted = True

    in_charge = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, note) if in_charge else None
    try:
        with progress(total) as move:

            def show(count: int) -> None:
                move(count)
                if interrupted:
                    raise KeyboardInterrupt

            yield show
    finally:
        if in_charge:
            signal.signal(signal.SIGINT, before)
