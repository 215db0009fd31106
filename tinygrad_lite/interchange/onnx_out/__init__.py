"""Files of ONNX from functions, models, gradients and whole training steps."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.errors import InputError, UsageError
from tinygrad_lite.foundation.entrances import advised


@advised
def export_onnx(
    f: Callable[..., Any],
    *examples: Any,
    path: str | os.PathLike[str],
    batch_axis: int | Sequence[int | None] | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Write a function or a model as a file of ONNX, for runtimes that need no Python.

    The function is recorded as by `tg.compile`, so it may call `tg.grad`, `backward()` and optimisers: derivatives and
    updates are ordinary operators in the file. The arrays in the examples are its inputs, and plain numbers are fixed.
    Parameters that the function reads are constants of the file, under their names in a state dict.

    What the function changes (in a training step the parameters, the state of the optimiser and the gradients) is a
    result called `name.new`. Where the function reads it, it is an input called `name`, and so are numbers that may
    change between steps, such as `lr`. The current values of these inputs are returned, to begin with.

    Where the function raises an error for a value, the file computes NaN, since ONNX raises no errors.

    Args:
        examples: arguments of the function, whose shapes and dtypes the inputs get.
        batch_axis: the axis of the examples that may have any length in the file, as in `jax.vmap`: one for all
            examples, or one for each, with None for an example without rows. By default all shapes are fixed.
        input_names, output_names: names in place of those of the arguments, and of output, or output.0, output.1, …

    Raises:
        UsageError: if the function cannot be recorded, if ONNX lacks an operation (the message says which, and where),
            or if what the function does depends on the size of the batch. Then the file stays as it was.
        InputError: if names or axes do not fit.
        FileError: if the file cannot be written.
        MissingExtraError: if onnx is not installed.

    Example:
        >>> import tempfile, numpy as np, onnxruntime, tinygrad_lite as tg
        >>> path = tempfile.mkdtemp() + "/slope.onnx"
        >>> state = tg.export_onnx(tg.grad(lambda x: np.sum(np.sin(x))), np.zeros(3), path=path, batch_axis=0)
        >>> session = onnxruntime.InferenceSession(path)
        >>> session.run(None, {"x": np.array([0.0, np.pi])})
        [array([ 1., -1.])]
    """
    if not callable(f):
        advice = ": pass its module_, or a function that calls it" if hasattr(f, "module_") else ""
        raise UsageError(f"export_onnx takes a function or a model, got {type(f).__name__}{advice}")
    axes = _axes(batch_axis, examples)
    from tinygrad_lite.foundation.whole_files import replace
    from tinygrad_lite.interchange.onnx_out.batch_axis import with_any_batch
    from tinygrad_lite.interchange.onnx_out.written_file import model
    from tinygrad_lite.interchange.onnx_out.written_program import Names, written

    names = Names(input_names, output_names)
    if any(axis is not None for axis in axes):
        made, dims = with_any_batch(f, examples, axes, names)
    else:
        made = written(f, examples, names)
        dims = {name: list(x.shape) for name, x in {**made.inputs, **made.results}.items()}
    replace(path, model(made, dims).SerializeToString())
    return made.state


def _axes(batch_axis: Any, examples: Sequence[Any]) -> list[int | None]:
    batch_axis = int(batch_axis) if isinstance(batch_axis, np.integer) else batch_axis
    if batch_axis is None or isinstance(batch_axis, int):
        axes = [batch_axis if any(map(np.ndim, trees.leaves(x))) else None for x in examples]
    else:
        axes = list(batch_axis) if isinstance(batch_axis, (tuple, list)) else [batch_axis]
    for axis in axes:
        if not isinstance(axis, (int, type(None))):
            raise InputError(f"batch_axis must be a whole number or None for each example, got {axis!r}")
    if len(axes) != len(examples):
        raise InputError(f"batch_axis: there are {len(examples)} examples, got {len(axes)} axes")
    if batch_axis is not None and all(axis is None for axis in axes):
        raise InputError("batch_axis: no example has an axis; leave it out")
    return axes
