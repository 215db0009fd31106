"""The command line: `python -m tinygrad_lite COMMAND`."""

import argparse
import os
import sys
from collections.abc import Sequence

from tinygrad_lite.commands import COMMANDS
from tinygrad_lite.errors import TinygradError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, print its result, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tinygrad_lite")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, command in COMMANDS.items():
        layout = argparse.RawDescriptionHelpFormatter
        own = commands.add_parser(name, help=command.HELP, epilog=command.EXAMPLES, formatter_class=layout)
        command.add_arguments(own)
        own.set_defaults(run=command.run)
    options = parser.parse_args(arguments)
    sys.path.insert(0, "")
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        try:
            print(flush=True)
        except BrokenPipeError:  # the reader has read enough, as `head` has after some lines
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 2
        raise
    except TinygradError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return status


if __name__ == "__main__":
    sys.exit(main())
