"""The commands of the command line: each says what it takes, and runs."""

from tinygrad_lite.commands import check, exercise, explain

COMMANDS = {"check": check, "exercise": exercise, "explain": explain}
"""By their names, modules that have `HELP` in a line, `EXAMPLES` to show below it, `add_arguments(parser)`, and
`run(given)`, which returns the exit status."""
