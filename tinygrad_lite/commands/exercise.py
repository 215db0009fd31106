"""`python -m tinygrad_lite exercise NAME`: an exercise in the learner's own file, marked from a shell."""

import argparse
from dataclasses import replace
from pathlib import Path
from time import perf_counter

from tinygrad_lite import exercises
from tinygrad_lite.commands.check_reports import write
from tinygrad_lite.commands.mark_reports import as_json, as_junit
from tinygrad_lite.errors import InputError, TinygradError, UsageError
from tinygrad_lite.exercises.assignments import Result, of_mark
from tinygrad_lite.exercises.attempts import Log
from tinygrad_lite.exercises.exercise import Exercise
from tinygrad_lite.exercises.learners_file import loaded

HELP = "an exercise that marks itself"
EXAMPLES = """\
    python -m tinygrad_lite exercise                               the list of exercises
    python -m tinygrad_lite exercise softplus                      the question, and a softplus.py to start from
    python -m tinygrad_lite exercise softplus --check softplus.py  the mark
    python -m tinygrad_lite exercise softplus --hint 1             the first hint
    python -m tinygrad_lite exercise --about transposed            what a mark means

exit status of --check: 0 if the answer is right, 1 if it is not, 2 if it could not be marked
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("name", nargs="?", help="its name; without one, all exercises are listed")
    parser.add_argument("--check", metavar="FILE", type=Path, help="mark the function in this file")
    parser.add_argument("--hint", metavar="N", type=int, help="show the n-th hint")
    parser.add_argument("--course", metavar="FILE", type=Path, help="a file that declares further exercises")
    parser.add_argument("--seed", metavar="STUDENT", help="a student's name or number: inputs of their own")
    parser.add_argument("--log", metavar="FILE", help="add each attempt and each hint to this file")
    parser.add_argument("--about", metavar="MISTAKE", help="what a mark means that names this mistake")
    parser.add_argument("--time-limit", metavar="SECONDS", type=float, default=10.0, help="for marking; 10 by default")
    parser.add_argument("--json", metavar="FILE", help="write the mark as JSON; - prints it in place of the text")
    parser.add_argument("--junit", metavar="FILE", help="write the mark as JUnit XML")


def run(args: argparse.Namespace) -> int:
    """List, ask, give a hint or mark, and return the exit status."""
    if args.course is not None:
        loaded(args.course)
    if args.about is not None:
        print(exercises.about(args.about))
        return 0
    if args.name is None:
        needs_name = [f"--{name}" for name in ("check", "hint", "json", "junit") if getattr(args, name) is not None]
        if needs_name:
            raise UsageError(
                f"{needs_name[0]} needs the name of an exercise, as in `exercise softmax --check softmax.py`"
            )
        print(exercises.list())
        return 0
    exercise = exercises.start(args.name, seed=args.seed, log=args.log)
    if args.check is not None:
        return _marked(exercise, args)
    if args.hint is not None:
        print(exercise.hint(args.hint))
        return 0
    print(exercise)
    path = Path(f"{exercise.name}.py")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(exercise.template())
        print(f"\nwrote {path}: fill it in, and mark it with --check {path}")
    except FileExistsError:
        print(f"\n{path} is there already and stays as it is; mark it with --check {path}")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from None
    return 0


def _marked(exercise: Exercise, args: argparse.Namespace) -> int:
    if not args.check.exists():
        raise InputError(
            f"there is no {args.check}; `exercise {exercise.name}` writes {exercise.name}.py to begin with"
        )
    started = perf_counter()
    try:
        result = of_mark(exercise.check_file(args.check, time_limit=args.time_limit), args.seed or "")
    except TinygradError as error:
        result = Result(args.seed or "", exercise.name, "error", str(error))
    events = Log(args.log).of(exercise.name) if args.log else ()
    result = replace(result, seconds=perf_counter() - started, events=events)
    for file, text in ((args.json, as_json), (args.junit, as_junit)):
        if file:
            write(file, text([result]))
    if result.outcome == "error":
        raise InputError(result.text)
    if args.json != "-":
        print(f"{result.printed}{result.text}")
        if result.misconception:
            print(f"\n`exercise --about {result.misconception}` says what that is")
    return 0 if result.outcome == "right" else 1
