"""Passes: functions from a program to a simpler one that does the same."""

from itertools import cycle

from tinygrad_lite.compiler.passes.algebra import with_simpler_algebra
from tinygrad_lite.compiler.passes.common_subexpressions import without_common_subexpressions
from tinygrad_lite.compiler.passes.constant_folding import with_folded_constants
from tinygrad_lite.compiler.passes.dead_code import without_dead_code
from tinygrad_lite.compiler.program import Program

PASSES = (without_dead_code, with_folded_constants, with_simpler_algebra, without_common_subexpressions)


def simplified(program: Program) -> Program:
    """Apply the passes in turn until each of them finds nothing more to do."""
    in_vain = 0
    for simplify in cycle(PASSES):
        count = len(program.calls)
        program = simplify(program)
        in_vain = in_vain + 1 if len(program.calls) == count else 0
        if in_vain == len(PASSES):
            break
    return without_dead_code(program)
