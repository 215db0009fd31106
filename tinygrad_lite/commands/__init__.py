"""The commands of the command line: each declares its arguments, and runs."""

from tinygrad_lite.commands import check, classroom, exercise, explain

COMMANDS = {"check": check, "class": classroom, "exercise": exercise, "explain": explain}
"""The commands by name: modules with `HELP` (one line), `EXAMPLES` to show below it, `add_arguments(parser)`, and
`run(options)`, which returns the exit status."""
