"""Batches for a model: pairs of inputs and targets."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.data import DataLoader
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import UsageError
from tinygrad_lite.nn import Module

Batch = tuple[Any, Any]
"""The inputs of a model, and the targets."""


def loader_of(
    data: Any, batch_size: int | None = None, rng: int | np.random.Generator | None = None, shuffle: bool = True
) -> DataLoader:
    """A loader of pairs, of the data or the one that is given.

    Raises:
        UsageError: if the data are not pairs.
    """
    if isinstance(data, DataLoader):
        if rng is not None or batch_size is not None:
            raise UsageError("a DataLoader has a batch_size and a generator already: pass them to the loader only")
        loader = data
    else:
        loader = DataLoader(data, 32 if batch_size is None else batch_size, shuffle, rng=rng)
    first = loader.dataset.take(np.arange(1))
    if not (isinstance(first, (tuple, list)) and len(first) == 2):
        raise UsageError(
            "the data must be pairs: a tuple (inputs, targets) of arrays, or a dataset whose samples are "
            f"(inputs, target); a sample of these data is {type(first).__name__}"
            + (f" of {len(first)} parts" if isinstance(first, (tuple, list)) else "")
            + ("; a list is a list of samples: write a tuple" if isinstance(data, list) and len(data) == 2 else "")
            + (
                "; with weights of rows, write (inputs, (targets, weights)), and a loss of both"
                if isinstance(first, tuple) and len(first) == 3
                else ""
            )
        )
    return loader


def grouped(batches: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    """The batches in groups; the last one may be smaller."""
    group = []
    for batch in batches:
        group.append(batch)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def outputs_of(model: Module, inputs: Any) -> Any:
    """What a model makes of the inputs: a tuple is several arguments, and a dict has their names."""
    if isinstance(inputs, tuple):
        return model(*inputs)
    return model(**inputs) if type(inputs) is not np.ndarray and isinstance(inputs, Mapping) else model(inputs)


def count_of(batch: Batch) -> int:
    """The number of rows."""
    inputs = batch[0]
    return len(inputs) if type(inputs) is np.ndarray else len(trees.leaves(batch)[0])


def plain(x: Any) -> Any:
    """Arrays for the tensors in nested containers."""
    return trees.map_leaves(lambda leaf: leaf.data if isinstance(leaf, Tensor) else leaf, x)
