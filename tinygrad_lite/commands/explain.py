"""`python -m tinygrad_lite explain script.py`: runs a script, and explains its last `backward()` or `tg.explain`."""

import argparse
import webbrowser
from pathlib import Path

from tinygrad_lite.commands.check_reports import check_files
from tinygrad_lite.explainer.script import lesson_of_script

HELP = "run a script and explain its last backward(), or show its own tg.explain"
EXAMPLES = """\
    python -m tinygrad_lite explain train.py                        run it, and open the lesson in a browser
    python -m tinygrad_lite explain -o lesson.html train.py         write the lesson instead
    python -m tinygrad_lite explain --text train.py --epochs 3      print it; what follows is for the script
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="write the page here, and open nothing")
    parser.add_argument("--text", action="store_true", help="print the lesson in words, and write nothing")
    parser.add_argument("--seed", metavar="STUDENT", help="a student's name or number: questions of their own")
    parser.add_argument("script", type=Path, help="a Python file")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="the arguments of the script")


def run(args: argparse.Namespace) -> int:
    """Run the script, show the lesson, and return the exit status."""
    check_files(args.output)
    lesson = lesson_of_script(args.script, args.arguments)
    if args.text:
        print(lesson)
        return 0
    path = args.output or Path(f"{args.script.stem.removesuffix('_lesson')}_lesson.html")
    lesson.to_html(path, seed=args.seed)
    print(f"wrote {path}")
    if args.output is None:
        webbrowser.open(path.resolve().as_uri())
    return 0
