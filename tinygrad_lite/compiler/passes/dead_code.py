"""Dead code: calls whose result nobody reads, and inputs and constants that nobody reads any more."""

from collections.abc import Callable

from tinygrad_lite.compiler.program import Instruction, Program


def without_dead_code(program: Program) -> Program:
    """Remove the calls that do not reach results or updates; draws, requirements, and what else may fail, stay."""
    return _where_only(program, lambda call: call.has_effect or call.may_fail)


def without_unread_results(program: Program) -> Program:
    """The same for programs that raise no errors: an operation that may fail stays only if its result is read."""
    return _where_only(program, lambda call: call.has_effect)


def _where_only(program: Program, stays: Callable[[Instruction], bool]) -> Program:
    needed = set(program.ends)
    kept = []
    for call in reversed(program.calls):
        if call.result in needed or stays(call):
            kept.append(call)
            needed.update(call.reads)
    inputs = {x: place for x, place in program.inputs.items() if x in needed}
    constants = {x: array for x, array in program.constants.items() if x in needed}
    return Program(inputs, constants, kept[::-1], program.results, program.updates)
