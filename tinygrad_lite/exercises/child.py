"""The process in which a learner's file runs: it answers each call with an array, and does nothing else.

Run as `python -m tinygrad_lite.exercises.child` in a temporary folder. It reads and writes lines of JSON;
whatever the file prints goes to the standard error.
"""

import io
import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext, redirect_stdout, suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import TinygradError
from tinygrad_lite.exercises.learners_file import answer_in, said_of
from tinygrad_lite.exercises.misfit import Misfit
from tinygrad_lite.exercises.submission import Submission, Task

MEMORY = 3 * 2**30
"""The bytes of memory that a submission may address."""

_LARGE = 100_000  # the largest number of entries that are sent; of larger arrays only the shape is
_FILE = 10_000_000  # the largest size of a file that it writes
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
_HIDDEN = "tinygrad_lite.exercises.solutions"

_REFUSED = {
    **dict.fromkeys(
        ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn"),
        "start other programs",
    ),
    **dict.fromkeys(("os.kill", "os.killpg", "signal.pthread_kill"), "end other programs"),
}
_HARMLESS = {"socket.__new__", "socket.gethostname"}  # of the events of sockets
_CHANGING = ("remove", "rename", "rmdir", "mkdir", "link", "symlink", "truncate", "chmod", "chown")


def encoded(x: Array) -> dict[str, Any]:
    """An array for JSON, which may hold NaN and infinities."""
    x = np.asarray(x)
    values = x.ravel().tolist() if x.size <= _LARGE else None
    return {"shape": x.shape, "integers": x.dtype.kind != "f", "values": values}


def decoded(sent: Mapping[str, Any]) -> Array:
    """The array that was sent; raises `ValueError` or `TypeError` if it is none."""
    shape = tuple(map(int, sent["shape"]))
    if sent["values"] is None:
        return np.broadcast_to(0.0, shape)
    return np.array(sent["values"], int if sent["integers"] else float).reshape(shape)[()]


def main() -> None:
    """Report that the process is ready, load the file that is named, and answer calls until there are no more."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)

    def send(message: Mapping[str, Any]) -> None:
        sys.stdout.flush()
        answers.write(json.dumps(message).encode() + b"\n")
        answers.flush()

    send({})
    told = json.loads(requests.readline())
    task, path = Task(told["write"], tuple(told["names"]), told["argument"]), Path(told["path"])
    _limit(told["seconds"])
    sys.path.append(str(path.parent))
    sys.addaudithook(_Guard(Path.cwd()).hear)
    submissions: list[Callable[..., Array]] = []  # the submission, and its variants without a mistake that it may have

    def load() -> dict[str, Any]:
        submissions.append(Submission(task, answer_in(path, task.write)))
        return {}

    def call(request: Mapping[str, Any]) -> dict[str, Any]:
        if request.get("vary"):
            changed = cast(Submission, submissions[0]).variants()
            submissions[1:] = [function for _, function in changed]
            return {"sentences": [sentence for sentence, _ in changed]}
        trial = {name: decoded(x) for name, x in request["trial"].items()}
        with nullcontext() if request["prints"] else redirect_stdout(io.StringIO()):
            return encoded(submissions[request["which"]](decoded(request["g"]), decoded(request["y"]), trial))

    send(_said(load))
    for line in requests:
        request = json.loads(line)
        send(_said(partial(call, request)))


def _said(act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The result of an act, or what went wrong with it."""
    try:
        return act()
    except Misfit as misfit:
        return {"misfit": [misfit.told, misfit.likeness]}
    except TinygradError as error:
        return {"error": str(error)}
    except RefusedError as error:
        return {"error": str(error)}
    except BaseException as error:
        notes = "".join(f"\n  {note}" for note in getattr(error, "__notes__", ()))
        return {"error": f"{said_of(error)}{notes}"}


class RefusedError(PermissionError):
    """An action that is forbidden to submissions."""


class _Guard:
    """Refuses what a submission must not do; in its own folder it may do anything."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Raise an error if Python reports an event that is refused."""
        if event in _REFUSED:
            raise RefusedError(f"a submission may not {_REFUSED[event]}")
        if event == "import" and arguments[0] == _HIDDEN:
            raise RefusedError("a submission may not read the solutions")
        room, _, act = event.partition(".")
        if room == "socket" and event not in _HARMLESS:
            raise RefusedError("a submission may not use the network")
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, (str, bytes, os.PathLike)):
                self._opened(os.fsdecode(path), flags)
        elif (room == "os" and act in _CHANGING) or room == "shutil":
            for path in arguments:
                if isinstance(path, (str, bytes, os.PathLike)):
                    self._changed(os.fsdecode(path))

    def _opened(self, path: str, flags: int) -> None:
        if Path(path).parts[-2:] == ("exercises", "solutions.py"):
            raise RefusedError("a submission may not read the solutions")
        if flags & _WRITING:
            self._changed(path)

    def _changed(self, path: str) -> None:
        if path != os.devnull and self._folder not in Path(path).resolve().parents:
            raise RefusedError(f"a submission may not change files: it tried to change {path}")


def _limit(seconds: float) -> None:
    """Limit memory, time and files, where the system can."""
    try:
        import resource
    except ImportError:
        return
    for kind, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, int(seconds) + 2),
        (resource.RLIMIT_FSIZE, _FILE),
        (resource.RLIMIT_CORE, 0),
    ):
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (most, most))


if __name__ == "__main__":
    main()
