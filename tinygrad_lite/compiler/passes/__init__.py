"""Passes: functions from a program to a simpler one that does the same."""

from tinygrad_lite.compiler.passes.algebra import with_simpler_algebra
from tinygrad_lite.compiler.passes.common_subexpressions import without_common_subexpressions
from tinygrad_lite.compiler.passes.constant_folding import with_folded_constants
from tinygrad_lite.compiler.passes.dead_code import without_dead_code
from tinygrad_lite.compiler.program import Program

PASSES = (without_dead_code, with_folded_constants, with_simpler_algebra, without_common_subexpressions)


def simplified(program: Program) -> Program:
    """Apply all passes to a program until they find nothing more to do."""
    count = -1
    while count != (count := len(program.calls)):
        for simplify in PASSES:
            program = simplify(program)
    return without_dead_code(program)
