"""Dead code: calls whose result nobody reads, and inputs and constants that nobody reads any more."""

from tinygrad_lite.compiler.program import Program


def without_dead_code(program: Program) -> Program:
    """Remove the calls that do not reach results or updates; draws and requirements stay."""
    needed = set(program.ends)
    kept = []
    for call in reversed(program.calls):
        if call.result in needed or call.has_effect:
            kept.append(call)
            needed.update(call.reads)
    inputs = {x: place for x, place in program.inputs.items() if x in needed}
    constants = {x: array for x, array in program.constants.items() if x in needed}
    return Program(inputs, constants, kept[::-1], program.results, program.updates)
