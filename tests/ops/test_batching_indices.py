"""Reads and updates at an index of which some parts differ from example to example: as one example after the other."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg

RNG = np.random.default_rng(0)
COUNT = 3
X = RNG.normal(size=(COUNT, 4, 3, 2))


class Own:
    """A part of an index that each example has of its own."""

    def __init__(self, *shape: int) -> None:
        self.values = RNG.integers(-2, 2, (COUNT, *shape))


PARTS: list[Any] = [
    slice(None),
    slice(0, 2),
    Ellipsis,
    None,
    1,
    Own(),
    Own(2),
    Own(3, 1),
    np.array([0, 1]),
    np.int64(0),
]


def indices(length: int) -> Iterator[Sequence[Any]]:
    for parts in itertools.product(PARTS, repeat=length):
        axes = sum(part is not None and part is not Ellipsis for part in parts)
        if any(isinstance(part, Own) for part in parts) and axes <= 3 and sum(part is Ellipsis for part in parts) <= 1:
            yield parts


def own(parts: Sequence[Any]) -> list[Any]:
    return [part.values for part in parts if isinstance(part, Own)]


def filled(parts: Sequence[Any], values: Sequence[Any]) -> tuple[Any, ...]:
    """The index of one example, with its own values."""
    remaining = iter(values)
    return tuple([next(remaining) if isinstance(part, Own) else part for part in parts])


@pytest.mark.parametrize("is_stack", [True, False], ids=["of a stack", "of one array"])
@pytest.mark.parametrize("length", [1, 2, 3])
def test_reads_and_updates_at_an_index_of_each_example(length: int, is_stack: bool) -> None:
    compared = 0
    for parts in itertools.islice(indices(length), 0, None, 7 if length == 3 else 1):
        examples = [(X[i if is_stack else 0], filled(parts, [part[i] for part in own(parts)])) for i in range(COUNT)]
        try:
            read = np.stack([x[index] for x, index in examples])
        except IndexError:
            continue
        values = RNG.normal(size=read.shape)
        axes = (0 if is_stack else None, 0, *[0] * len(own(parts)))
        arrays = (X if is_stack else X[0], values, *own(parts))

        def entries(x: Any, v: Any, *rest: Any, parts: Sequence[Any] = parts) -> Any:
            x, index = tg.tensor(x) if isinstance(x, np.ndarray) else x, filled(parts, rest)
            return x[index], x.at[index].set(v), x.at[index].add(v)

        found = tg.vmap(entries, axes)(*arrays)
        updated = [x.copy() for x, _ in examples], [x.copy() for x, _ in examples]
        for (_, index), v, put, added in zip(examples, values, *updated):
            put[index] = v
            np.add.at(added, index, v)
        for y, expected in zip(found, (read, *map(np.stack, updated))):
            np.testing.assert_allclose(y, expected, rtol=1e-12, err_msg=str(parts))
        compared += 1
    assert compared > 2
