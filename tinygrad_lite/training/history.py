"""The record of a training run: the figures of each epoch, and the weights of the best one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tinygrad_lite.errors import MissingExtraError
from tinygrad_lite.foundation.settings import check_entries, check_form, check_list


@dataclass(repr=False)
class History:
    """The figures of each epoch.

    Attributes:
        records: for each epoch a dict with its number under "epoch", the mean "loss" of its batches, "validation_loss"
            and each metric, the learning rate "lr" at its end, and its "seconds".
        ending: why the training stopped: "epochs" if all were done, "patience", "callback" or "interrupt".
        best_state: the module's state after the best epoch, if epochs are compared.
    """

    records: list[dict[str, Any]] = field(default_factory=list)
    ending: str = ""
    best_state: dict[str, Any] | None = None
    _best: dict[str, Any] = field(default_factory=dict, init=False)

    def __len__(self) -> int:
        """The number of epochs."""
        return len(self.records)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.records)

    def __getitem__(self, name: str) -> list[Any]:
        """The figures of one name, epoch by epoch."""
        return [record[name] for record in self.records]

    def __repr__(self) -> str:
        if not self.records:
            return "History of 0 epochs"
        figures = ", ".join(
            f"{name} {x:.4g}" for name, x in self.records[-1].items() if name not in ("epoch", "seconds")
        )
        ending = f" ended by {self.ending}," if self.ending else ""
        return f"History of {len(self)} epochs,{ending} best epoch {self.best_epoch}: {figures}"

    @property
    def best_epoch(self) -> int:
        """The number of the epoch, from 1, with the smallest validation loss, or loss without validation."""
        return int(self._best["epoch"])

    def add(self, record: dict[str, Any]) -> bool:
        """Append an epoch, and return whether it is the best one so far."""
        self.records.append(record)
        if is_best := not self._best or _compared(record) < _compared(self._best):
            self._best = record
        return is_best

    def is_over(self, epochs: int, patience: int | None) -> bool:
        """Whether all epochs are done, or too many in a row were no better; sets `ending`."""
        if len(self) >= epochs:
            self.ending = "epochs"
        elif patience is not None and self.records and len(self) - self.best_epoch >= patience:
            self.ending = "patience"
        return bool(self.ending)

    def frame(self) -> Any:
        """The records as a frame of pandas, by epoch."""
        try:
            import pandas as pd
        except ImportError:
            raise MissingExtraError("History.frame()", "pandas", "examples") from None
        return pd.DataFrame(self.records).set_index("epoch")

    def plot(self) -> Any:
        """The curves of the losses and of the metrics, as a figure of Matplotlib."""
        try:
            from matplotlib.figure import Figure
            from matplotlib.ticker import MaxNLocator
        except ImportError:
            raise MissingExtraError("History.plot()", "Matplotlib", "examples") from None
        metrics = [name for name in self.records[-1] if name not in _NO_METRICS]
        figure = Figure(figsize=(4.8 * (1 + bool(metrics)), 3.6), layout="constrained")
        axes = figure.subplots(1, 1 + bool(metrics), squeeze=False)[0]
        for panel, names in zip(axes, (["loss", "validation_loss"], metrics)):
            for name in names:
                if name in self.records[-1]:
                    panel.plot(self["epoch"], self[name], label=name.replace("_", " "))
            if "validation_loss" in self.records[-1]:
                panel.axvline(self.best_epoch, color="#767676", linestyle=":", label=f"best epoch, {self.best_epoch}")
            panel.set_xlabel("epoch")
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
            panel.grid(alpha=0.3)
            panel.legend()
        return figure

    def state_dict(self) -> dict[str, Any]:
        """The records and the best state, for a checkpoint."""
        return {"records": self.records, "best_state": self.best_state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `state_dict` returned.

        Raises:
            InputError: if it is not such a state; nothing changes then.
        """
        check_entries("a history's state", ("records", "best_state"), state)
        check_list("records in a history's state", state["records"])
        for i, record in enumerate(state["records"]):
            check_form(f"records[{i}]", record, {"epoch": 1, "loss": 0.0})
            check_form(f"records[{i}]", record, {name: 0.0 for name in record if name == "validation_loss"})
        self.records, self.best_state = [dict(record) for record in state["records"]], state["best_state"]
        self._best = min(self.records, key=_compared, default={})


_NO_METRICS = ("epoch", "loss", "validation_loss", "lr", "seconds")


def _compared(record: Mapping[str, Any]) -> float:
    value = record.get("validation_loss", record["loss"])
    return float(value) if value == value else float("inf")
