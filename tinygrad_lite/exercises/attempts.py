"""The log of a learner's attempts and hints: a file of JSON, one line for each."""

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from tinygrad_lite.errors import InputError


@dataclass(frozen=True)
class Event:
    """A marked attempt, or a hint that was read.

    Attributes:
        ok: whether the attempt was right; None for a hint.
        misconception: the name of the mistake, if the mark named one.
        hint: the number of the hint; 0 for an attempt.
        at: the time, in UTC.
    """

    exercise: str
    ok: bool | None = None
    misconception: str = ""
    hint: int = 0
    at: str = ""


class Log:
    """The events in a file, which the first event creates."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)

    def add(self, event: Event) -> None:
        """Append an event with the time."""
        line = json.dumps({**asdict(event), "at": datetime.now(UTC).isoformat(timespec="seconds")})
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    def of(self, exercise: str) -> list[Event]:
        """The events of one exercise."""
        return [event for event in self.events() if event.exercise == exercise]

    def events(self) -> list[Event]:
        """All events; raises `InputError` if the file is something else."""
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else []
            events = [Event(**json.loads(line)) for line in lines if line.strip()]
        except (TypeError, ValueError, OSError) as error:
            raise InputError(f"{self._path} is not a log of attempts: {error}") from None
        for event in events:
            if [*map(type, (event.exercise, event.misconception, event.hint))] != [str, str, int]:
                raise InputError(f"{self._path} is not a log of attempts: {event} is not an event")
        return events
