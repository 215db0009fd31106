"""`python -m tinygrad_lite class FOLDER`: the exercises of a class, for its teacher."""

import argparse
from pathlib import Path

from tinygrad_lite.commands.check_reports import check_files, write
from tinygrad_lite.commands.mark_reports import as_json, as_junit
from tinygrad_lite.errors import UsageError
from tinygrad_lite.exercises.assignments import mark_class
from tinygrad_lite.exercises.catalogue import find
from tinygrad_lite.exercises.class_page import as_html
from tinygrad_lite.exercises.learners_file import loaded

HELP = "mark the exercises of a class"
EXAMPLES = """\
    python -m tinygrad_lite class handed_in                     marks handed_in/STUDENT/EXERCISE.py
    python -m tinygrad_lite class handed_in --html report.html  one page: who has solved what, and which mistakes
    python -m tinygrad_lite class handed_in --exercises softmax bias --seeded
    python -m tinygrad_lite class --solution softmax            for teachers: a solution

exit status: 0 if the class was marked, whatever the marks; 2 if it could not be
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("folder", nargs="?", type=Path, help="a folder with a folder for each student")
    parser.add_argument("--exercises", metavar="NAME", nargs="+", help="by default those that somebody has a file for")
    parser.add_argument("--course", metavar="FILE", type=Path, help="a file that declares further exercises")
    parser.add_argument(
        "--seeded", action="store_true", help="each student's own inputs: the seed is the folder's name"
    )
    parser.add_argument(
        "--time-limit", metavar="SECONDS", type=float, default=10.0, help="for each file; 10 by default"
    )
    parser.add_argument("--json", metavar="FILE", help="write the marks as JSON; - prints them in place of the table")
    parser.add_argument("--junit", metavar="FILE", help="write the marks as JUnit XML")
    parser.add_argument("--html", metavar="FILE", help="write a report as one page")
    parser.add_argument("--solution", metavar="NAME", help="print a solution of this exercise")


def run(args: argparse.Namespace) -> int:
    """Mark and report, or print a solution, and return the exit status."""
    if args.course is not None:
        loaded(args.course)
    if args.solution is not None:
        from tinygrad_lite.exercises.solutions import solution_of

        print(solution_of(find(args.solution)))
        return 0
    if args.folder is None:
        raise UsageError("say which folder to mark, or which --solution to print")
    check_files(args.json, args.junit, args.html)
    classroom = mark_class(args.folder, args.exercises, seeded=args.seeded, time_limit=args.time_limit)
    if args.json != "-":
        print(classroom)
    for file, text in ((args.json, as_json), (args.junit, as_junit)):
        if file:
            write(file, text(classroom.results))
    if args.html:
        write(args.html, as_html(classroom))
    return 0
