"""Floor 7. The commands of the command line: each says what it takes, and runs."""

from tinygrad_lite.commands import check, exercise, explain

COMMANDS = (check, exercise, explain)
"""Modules that have `add_to(commands)`, which enters the command with its arguments, and `run(given)`, which returns
the exit status."""
