"""The results of checks for other programs to read: as JSON, and as JUnit XML, which CI systems show."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from traceback import format_exception
from typing import Any
from xml.etree import ElementTree as ET

from tinygrad_lite.checking import Report
from tinygrad_lite.checking.user_errors import users_part
from tinygrad_lite.errors import FileError, InputError, TinygradError
from tinygrad_lite.foundation.whole_files import check_folder


@dataclass(frozen=True)
class Result:
    """The check of one function: its report, or the error that kept the check from being made."""

    target: str
    seconds: float = 0.0
    report: Report | None = None
    error: BaseException | None = None

    @property
    def outcome(self) -> str:
        """The report's outcome, or "error"."""
        return "error" if self.report is None else self.report.outcome

    @property
    def text(self) -> str:
        """The report, or the error; for an error in the user's code, also the lines of that code that led to it."""
        if self.error is None:
            return str(self.report)
        if isinstance(self.error, SystemExit):
            return (
                f"it ended Python, with {self.error.code!r}, before it was checked: what runs as a script belongs "
                'behind if __name__ == "__main__":'
            )
        lines = users_part(self.error.__traceback__)
        if isinstance(self.error, TinygradError) and lines is None:
            return str(self.error)
        return "".join(format_exception(self.error.with_traceback(lines))).rstrip()

    @property
    def headline(self) -> str:
        """The first line of the report, or the error without its lines."""
        return (self.text if self.error is None else f"{type(self.error).__name__}: {self.error}").splitlines()[0]


def as_json(results: Sequence[Result]) -> str:
    """A list of one object for each function: `Report.to_dict()` with its target and seconds, or its error."""
    objects: list[dict[str, Any]] = []
    for result in results:
        details = {"error": result.text} if result.report is None else result.report.to_dict()
        objects.append(
            {"target": result.target, "outcome": result.outcome, "seconds": round(result.seconds, 6), **details}
        )
    return json.dumps(objects, indent=2, allow_nan=False)


def as_junit(results: Sequence[Result]) -> str:
    """A test case for each function, with the report; what was not verified has failed, in a type of its own."""
    outcomes = [result.outcome for result in results]
    counts = {
        "tests": len(results),
        "failures": outcomes.count("failed") + outcomes.count("inconclusive"),
        "errors": outcomes.count("error"),
        "skipped": 0,
    }
    suites = ET.Element("testsuites")
    suite = ET.SubElement(suites, "testsuite", {name: str(count) for name, count in counts.items()}, name="gradcheck")
    suite.set("time", f"{sum(result.seconds for result in results):.3f}")
    for result in results:
        path, _, name = result.target.partition(":")
        home = re.sub(r"[/\\]", ".", path.removesuffix(".py")).strip(".")
        case = ET.SubElement(suite, "testcase", classname=home, name=name or path, time=f"{result.seconds:.3f}")
        text = in_xml(result.text)
        if result.outcome == "passed":
            ET.SubElement(case, "system-out").text = text
        else:
            kind = "error" if result.report is None else "failure"
            ET.SubElement(case, kind, type=result.outcome, message=in_xml(result.headline)).text = text
    ET.indent(suites)
    xml: str = ET.tostring(suites, encoding="utf-8", xml_declaration=True).decode()
    return xml


def in_xml(text: str) -> str:
    """The text without characters that no XML may hold, even escaped."""
    return re.sub("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\N{REPLACEMENT CHARACTER}", text)


def check_files(*files: str | Path | None) -> None:
    """Raise `FileError` before long work if a file cannot be written after it; None and `-` are no files."""
    for path in [Path(file) for file in files if file is not None and str(file) != "-"]:
        if path.is_dir():
            raise FileError(f"cannot write {path}: it is a folder")
        if not path.exists():
            check_folder(path)


def write(file: str, text: str) -> None:
    """Write a file, or print the text for `-`; raises `InputError` if it cannot be written."""
    if file == "-":
        print(text)
        return
    try:
        Path(file).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {file}: {error.strerror}") from None
