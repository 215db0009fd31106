"""A submission in a process of its own, with a time limit: this process calls it, and trusts only arrays from it."""

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import IO, Any, Self

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import InputError, UsageError
from tinygrad_lite.exercises.child import decoded, encoded
from tinygrad_lite.exercises.learners_file import require_file
from tinygrad_lite.exercises.misfit import Misfit
from tinygrad_lite.exercises.submission import Task

_START = 60.0  # how long Python itself may take to start
_ANSWER = 20_000_000  # the largest number of bytes in an answer
_PRINTED = 2000  # how many characters of what it prints, or of an error, are kept


class Isolated:
    """The answer in a file, to be called like a `Submission`; a context that ends the process."""

    def __init__(self, task: Task, path: Path, time_limit: float) -> None:
        require_file(path)
        if path.suffix != ".py":
            raise InputError(f"{path} is not a Python file: its name must end with .py")
        self._task, self._seconds = task, time_limit
        self._folder = tempfile.TemporaryDirectory(prefix="submission-", ignore_cleanup_errors=True)
        self._path = Path(self._folder.name, "answer", path.name)
        self._path.parent.mkdir()
        for file in path.parent.glob("*.py"):  # which it may import; where they came from, it does not know
            if file.is_symlink() and file.name != path.name:
                continue
            try:
                shutil.copyfile(file, self._path.with_name(file.name))
            except OSError as error:
                if file.name == path.name:
                    raise InputError(f"{path} cannot be read: {error.strerror}") from None
        self._answers: queue.Queue[bytes] = queue.Queue(maxsize=4)
        self._printed: list[str] = []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tinygrad_lite.exercises.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self._folder.name,
            env=_environment(self._folder.name),
            start_new_session=True,
        )
        self._threads = [
            Thread(target=self._listen, args=(self._process.stdout,), daemon=True),
            Thread(target=self._drain, args=(self._process.stderr,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        try:
            self._end = monotonic() + _START
            self._answer()
            self._end = monotonic() + self._seconds
            self._send({**asdict(self._task), "path": str(self._path), "seconds": self._seconds})
            self._answer()
        except BaseException:
            self.__exit__()
            raise
        return self

    def variants(self) -> list[tuple[str, Callable[..., Array]]]:
        """Sentences about a mistake, each with the submission without that mistake, if its code is known."""
        self._send({"vary": True})
        sentences = self._answer().get("sentences")
        if not isinstance(sentences, list):
            return []
        return [(str(sentence), partial(self, which=k + 1)) for k, sentence in enumerate(sentences)]

    def in_silence(self, g: Array, y: Array, trial: Mapping[str, Array]) -> Array:
        """The answer for these arguments; it prints nothing."""
        return self(g, y, trial, prints=False)

    def __call__(self, g: Array, y: Array, trial: Mapping[str, Array], which: int = 0, prints: bool = True) -> Array:
        """The answer for these arguments, of the submission itself or of a variant.

        Raises:
            Misfit: if it combines arrays whose shapes do not fit.
            UsageError: if it raises an error, takes too long, or ends Python.
        """
        sent = {name: encoded(x) for name, x in trial.items()}
        self._send({"g": encoded(g), "y": encoded(y), "trial": sent, "which": which, "prints": prints})
        answer = self._answer()
        try:
            return decoded(answer)
        except (KeyError, TypeError, ValueError, OverflowError):
            raise UsageError(f"{self._path.name} sent something other than an array") from None

    def printed(self) -> str:
        """What it has printed, up to 2,000 characters; this ends the process."""
        self.__exit__()
        return _readable("".join(self._printed), "\n… and more\n")

    def __exit__(self, *_: object) -> None:
        if hasattr(os, "killpg"):
            with suppress(ProcessLookupError, PermissionError):  # it has ended already
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        end = monotonic() + 5
        while any(thread.is_alive() for thread in self._threads) and monotonic() < end:
            with suppress(queue.Empty):  # so that no reading thread waits for room in the queue
                self._answers.get(timeout=0.01)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with suppress(BrokenPipeError):  # what it was sent last, it has not read
                    stream.close()
        self._folder.cleanup()

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:  # it has ended, as its answer will show
            pass

    def _answer(self) -> dict[str, Any]:
        """Its answer, if it comes in time and is no error."""
        try:
            line = self._answers.get(timeout=max(self._end - monotonic(), 0.001))
        except queue.Empty:
            raise UsageError(
                f"{self._path.name} took longer than {self._seconds:g} seconds, and was stopped: does a loop never end?"
            ) from None
        if not line:
            raise UsageError(f"{self._path.name} {self._ended()} before it was marked")
        try:
            message = json.loads(line)
            misfit, error = message.get("misfit"), message.get("error")
        except (ValueError, AttributeError, RecursionError):
            raise UsageError(f"{self._path.name} sent something other than an array") from None
        if misfit:
            raise Misfit(*(_readable(str(words)) for words in misfit[:2]))
        if error:
            raise UsageError(_readable(str(error)))
        return dict(message)

    def _ended(self) -> str:
        """How the process ended."""
        code = self._process.wait()
        if code >= 0:
            return f"ended Python, with status {code},"
        name = signal.Signals(-code).name
        return f"took more time than it may ({name})" if name == "SIGXCPU" else f"crashed ({name})"

    def _listen(self, stream: IO[bytes]) -> None:
        """Hand its answers on; the last one is empty."""
        while line := stream.readline(_ANSWER):
            self._answers.put(line)
        self._answers.put(b"")

    def _drain(self, stream: IO[bytes]) -> None:
        """Read what it prints, and keep the beginning."""
        kept = 0
        while part := os.read(stream.fileno(), 65536):
            if kept <= _PRINTED:
                self._printed.append(part.decode(errors="replace")[: _PRINTED + 1])
                kept += len(self._printed[-1])


def _readable(text: str, more: str = "…") -> str:
    """The beginning of what a file says, without characters that steer a terminal."""
    kept = "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text[:_PRINTED])
    return kept if len(text) <= _PRINTED else f"{kept}{more}"


def _environment(folder: str) -> dict[str, str]:
    """The environment of the process: only what it needs to find Python and its packages."""
    paths = [str(Path(__file__).parents[2]), *(path for path in sys.path if path)]
    own = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {
        **own,
        **threads,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUTF8": "1",
        "HOME": folder,
        "TMPDIR": folder,
    }
