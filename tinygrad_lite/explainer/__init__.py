"""Explains the backward pass of any model as a lesson."""

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.engine.tensor import Tensor, tensor
from tinygrad_lite.errors import UsageError
from tinygrad_lite.foundation.signatures import signature_of

if TYPE_CHECKING:
    from tinygrad_lite.explainer.graph import Graph
    from tinygrad_lite.explainer.lesson import Lesson
    from tinygrad_lite.explainer.playback import Playback
    from tinygrad_lite.explainer.steps import BackwardStep


@overload
def explain(result: Tensor | Callable[..., Any], *args: Any, **kwargs: Any) -> "Lesson": ...
@overload
def explain(result: Any, *, history: Any) -> "Playback": ...


def explain(result: Any, *args: Any, history: Any = None, **kwargs: Any) -> Any:
    """Make a lesson about how a tensor was computed, and how each gradient behind it is computed.

    The lesson runs the backward pass itself and changes no `.grad`. For a tensor with several entries, it explains the
    gradient of their sum. A function is called with the arguments, and the lesson explains its result; then each
    operation comes with the line of code that called it and the module that it belongs to. Of a function that returns
    a number for plain arrays, each argument of real numbers is a variable, as in `tg.explain(f, w, x)`.

    With a history, the lesson plays back a training of the model instead, from one `tg.training.Recorder` or from two
    to compare: `history={"lr 0.1": a, "lr 1": b}`.

    Raises:
        UsageError: if the target is neither a tensor nor a function that returns one.
        GraphError: if it has no history, or its graph was freed by a backward pass.
        InputError: if it is empty.

    Example:
        >>> import tinygrad_lite as tg
        >>> x = tg.tensor(3.0, requires_grad=True, name="x")
        >>> y = x * x
        >>> print(tg.explain(y))
        y: 1 operation, and a gradient for x
        <BLANKLINE>
        Forward, as the code computes it
          x, needs a gradient
              3
          (1) y = x · x
              9
        <BLANKLINE>
        Backward, in the order in which it runs
          ∂y/∂y = 1
        <BLANKLINE>
          (1) y = x · x
              g = ∂y/∂y = 1
              to x: g · x
                  upstream × local = 1 × 3 = 3, since ∂y/∂x = x by this use
              to x: g · x
                  upstream × local = 1 × 3 = 3, since ∂y/∂x = x by this use
        <BLANKLINE>
        The gradients
          ∂y/∂x = 3 from (1) + 3 from (1) = 6
    """
    if history is not None:
        from tinygrad_lite.explainer.playback import Playback
        from tinygrad_lite.training.recorder import recorders_of

        return Playback(recorders_of(history))
    from tinygrad_lite.explainer.lesson import Lesson

    return Lesson(_graph(result, args, kwargs))


def backward_steps(result: Tensor) -> Iterator["BackwardStep"]:
    """Run the backward pass one operation at a time, so that you can stop and look; it changes no `.grad`.

    Each step has its operation, the upstream gradient (`upstream`), the contribution to each input (`contributions`),
    and the gradients so far, by name (`gradients`).

    Raises:
        as `explain`.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> x = tg.tensor([1.0, 2.0], requires_grad=True, name="x")
        >>> for step in tg.backward_steps(np.sum(x**2)):
        ...     print(step)
        step 1: result = sum(t1)
          to t1: broadcast_to(g, shape=(2,)) = [1., 1.]
        step 2: t1 = x²
          to x: g · 2 · x = [2., 4.]
    """
    from tinygrad_lite.explainer.steps import steps

    return steps(_graph(result, (), {}), {}, {})


def _check_call(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise if it is a class, or a model that does not take the arguments that follow it."""
    from tinygrad_lite.nn.module import Module

    if isinstance(function, type):
        name = function.__name__
        raise UsageError(f"explain takes a tensor, a model or a function, got the class {name}: call it to make one")
    if not isinstance(function, Module):
        return
    try:
        signature_of(function.forward).bind(*args, **kwargs)
    except TypeError as error:
        raise UsageError(
            f"explain calls {type(function).__name__} with the arguments that follow it, as in tg.explain(model, x); "
            f"there are {len(args) + len(kwargs)}: {error}"
        ) from None


def _variable(x: Any) -> Any:
    """A variable in place of real numbers, since somebody who passes arrays alone wants their gradients."""
    is_real = isinstance(x, float) or (isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind == "f")
    return tensor(x, requires_grad=True) if is_real else x


def _graph(result: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> "Graph":
    from tinygrad_lite.explainer.graph import Graph, Seen
    from tinygrad_lite.explainer.origins import Watch, note_names_around

    seen = Seen({}, {}, {}, None)
    if callable(result) and not isinstance(result, Tensor):
        function, watch = result, Watch()
        _check_call(function, args, kwargs)
        result, seen = watch.run(function, args, kwargs), watch.seen
        if isinstance(result, (np.ndarray, np.generic, float)):
            watch = Watch()
            result, seen = watch.run(function, *trees.map_leaves(_variable, (args, kwargs))), watch.seen
    note_names_around(seen, sys._getframe(2))
    return Graph(result, seen)
