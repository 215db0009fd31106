"""`DataLoader`: batches of a dataset, in an order that can be saved and resumed."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tinygrad_lite.data.rows import Rows, rows_of
from tinygrad_lite.errors import InputError
from tinygrad_lite.foundation.elsewhere import SettingsElsewhere
from tinygrad_lite.foundation.settings import check_entries, whole


class DataLoader(SettingsElsewhere):
    """Batches of rows, one epoch for each loop over it.

    With `shuffle`, an epoch's order is `rng.permutation(number of rows)`, as in the `epochs` of a compiled function.

    Args:
        dataset: arrays, tensors, frames or sparse matrices with one length, alone or in tuples and dicts; a
            batch has the same form. Or anything with `__len__` and `__getitem__`, such as a list of samples, which are
            stacked into batches.
        batch_size: the number of rows in a batch. The last one has fewer if it must.
        shuffle: whether each epoch has a new order.
        drop_last: whether a last batch with fewer rows is left out.
        rng: a seed or a generator, for the order.

    Attributes:
        epochs: the number of epochs that were finished.

    Raises:
        EmptyError: if there are no rows.
        InputError: if batch_size is not a whole number of at least 1, or leaves no batch; or if frames have the same
            rows in different orders.
        ShapeError: if the arrays have different lengths.
        UsageError: if it is not a dataset.

    Example:
        >>> x, y = np.arange(6.0).reshape(3, 2), np.array([0, 1, 0])
        >>> loader = DataLoader((x, y), batch_size=2)
        >>> for inputs, targets in loader:
        ...     print(inputs.tolist(), targets.tolist())
        [[0.0, 1.0], [2.0, 3.0]] [0, 1]
        [[4.0, 5.0]] [0]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        drop_last: bool = False,
        rng: int | np.random.Generator | None = None,
    ) -> None:
        self.dataset: Rows = rows_of(dataset)
        self.batch_size, self.shuffle, self.drop_last = whole("batch_size", batch_size), shuffle, drop_last
        if not len(self):
            raise InputError(f"batch_size={batch_size} with drop_last leaves no batch of {len(self.dataset)} rows")
        self._rng = np.random.default_rng(rng)
        self._at_start: Any = None  # the state of the generator at the start of the epoch
        self._done = 0  # the number of batches of the epoch that were handed out
        self.epochs = 0
        self._is_resumed = False

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + bool(rest and not self.drop_last)

    def __repr__(self) -> str:
        settings = f"batch_size={self.batch_size}, shuffle={self.shuffle}, drop_last={self.drop_last}"
        return f"DataLoader(rows={len(self.dataset)}, {settings}, batches={len(self)})"

    def __iter__(self) -> Iterator[Any]:
        """The batches of an epoch, or the rest of it if the loader was loaded in the middle of one."""
        if self._is_resumed:
            self._is_resumed = False
            order = self._order(_generator(self._at_start))
        else:
            self._at_start, self._done = self._rng.bit_generator.state, 0
            order = self._order(self._rng)
        for k in range(self._done, len(self)):
            self._done = k + 1
            yield self.dataset.take(order[k * self.batch_size : (k + 1) * self.batch_size])
        self._done = 0
        self.epochs += 1

    def state_dict(self) -> dict[str, Any]:
        """The place in the epoch and the states of the generators, as plain numbers in dicts.

        They are the loader's, and those that are fields of a dataset of samples, which may draw from them.
        """
        drawn = {name: x.bit_generator.state for name, x in self.dataset.generators().items()}
        return {
            "rows": len(self.dataset),
            "epochs": self.epochs,
            "done": self._done,
            "at_start": self._at_start,
            "rng": self._rng.bit_generator.state,
            **({"dataset": drawn} if drawn else {}),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that `state_dict` returned: the next loop has the rest of the epoch.

        Raises:
            InputError: if it is not such a state, or one of other data; nothing changes then.

        Example:
            >>> loader = DataLoader(np.arange(6), batch_size=2, shuffle=True, rng=0)
            >>> batches = iter(loader)
            >>> first, state = next(batches), loader.state_dict()
            >>> other = DataLoader(np.arange(6), batch_size=2, shuffle=True)
            >>> other.load_state_dict(state)
            >>> [x.tolist() for x in batches] == [x.tolist() for x in other]
            True
        """
        check_entries("a loader's state", self.state_dict().keys(), state)
        for name in ("rows", "epochs", "done"):
            whole(f"{name} in a loader's state", state[name], least=0)
        if state["rows"] != len(self.dataset):
            raise InputError(f"this state was saved for {state['rows']} rows; the loader has {len(self.dataset)}")
        try:
            _generator(state["rng"])
            if state["at_start"] is not None:
                _generator(state["at_start"])
            drawn = self.dataset.generators()
            made = {name: _generator(state["dataset"][name]) for name in drawn}
            self._rng.bit_generator.state = state["rng"]
            for name, generator in made.items():
                drawn[name].bit_generator.state = generator.bit_generator.state
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise InputError(f"this is not the state of a {type(self._rng.bit_generator).__name__}: {error}") from error
        self.epochs, self._done, self._at_start = state["epochs"], state["done"], state["at_start"]
        self._is_resumed = self._done > 0

    def _order(self, rng: np.random.Generator) -> Any:
        return rng.permutation(len(self.dataset)) if self.shuffle else np.arange(len(self.dataset))


def _generator(state: Mapping[str, Any]) -> np.random.Generator:
    """A generator of its own with the state of another."""
    bits = getattr(np.random, state["bit_generator"])()
    bits.state = state
    return np.random.Generator(bits)
