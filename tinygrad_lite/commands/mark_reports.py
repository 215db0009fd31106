"""The marks of exercises for other programs to read: as JSON, and as JUnit XML, which CI systems show."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from xml.etree import ElementTree as ET

from tinygrad_lite.commands.check_reports import in_xml
from tinygrad_lite.exercises.assignments import Result


def as_json(results: Sequence[Result]) -> str:
    """A list of one object for each exercise of each student."""
    objects = [{**asdict(r), "seconds": round(r.seconds, 3), "attempts": r.attempts, "hints": r.hints} for r in results]
    return json.dumps(objects, indent=2)


def as_junit(results: Sequence[Result]) -> str:
    """A suite for each student, with a test case for each exercise; what was not handed in has failed."""
    suites = ET.Element("testsuites")
    for student in dict.fromkeys(result.student for result in results):
        own = [result for result in results if result.student == student]
        outcomes = [result.outcome for result in own]
        suite = ET.SubElement(
            suites, "testsuite", name=in_xml(student or "exercises"), tests=str(len(own)), skipped="0"
        )
        suite.set("failures", str(outcomes.count("wrong") + outcomes.count("missing")))
        suite.set("errors", str(outcomes.count("error")))
        suite.set("time", f"{sum(result.seconds for result in own):.3f}")
        for result in own:
            home = f"exercises.{in_xml(student)}".rstrip(".")
            case = ET.SubElement(suite, "testcase", classname=home, name=result.exercise, time=f"{result.seconds:.3f}")
            text = in_xml(result.text)
            if result.outcome == "right":
                ET.SubElement(case, "system-out").text = text
            else:
                kind = "error" if result.outcome == "error" else "failure"
                headline = text.splitlines()[0] if text else ""
                ET.SubElement(case, kind, type=result.misconception or result.outcome, message=headline).text = text
    ET.indent(suites)
    xml: str = ET.tostring(suites, encoding="utf-8", xml_declaration=True).decode()
    return xml
