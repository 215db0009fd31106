"""One count: an optimiser counts the steps of each parameter, and as long as these counts are equal, one is enough.

What follows from the count, such as Adam's corrections of its running means, is then computed once, too.
"""

from typing import Any

from tinygrad_lite.compiler.passes.common_subexpressions import without_common_subexpressions
from tinygrad_lite.compiler.passes.dead_code import without_dead_code
from tinygrad_lite.compiler.places import Count, Entry
from tinygrad_lite.compiler.program import Program, Variable


def with_one_count(program: Program) -> Program:
    """The program with one count in place of equal counts; the same one if there are none."""
    groups: dict[Any, list[Entry]] = {}
    for place, value in program.updates.items():
        if type(place) is Entry and (value.is_number if isinstance(value, Variable) else isinstance(value, int)):
            groups.setdefault((id(place.optimizer), place.entry), []).append(place)
    taken = {place.name for place in (*program.inputs.values(), *program.updates)}
    counts: dict[Entry, Count] = {}
    for (_, name), places in groups.items():
        read = [place for place in program.inputs.values() if place in places]
        is_equal = len({repr(place.read(())) for place in places}) == 1
        if len(places) > 1 and name not in taken and (not read or (len(read) == len(places) and is_equal)):
            taken.add(name)
            counts.update(dict.fromkeys(places, Count(places)))
    return _merged(program, counts) if counts else program


def _merged(program: Program, counts: dict[Entry, Count]) -> Program:
    """The program with these counts; the same one if it leaves behind others than it found."""
    inputs: dict[Variable, Any] = {}
    known: dict[Count, Variable] = {}
    stand_ins: dict[Variable, Variable] = {}
    for x, place in program.inputs.items():
        count = counts.get(place)
        if count is None:
            inputs[x] = place
        elif count in known:
            stand_ins[x] = known[count]
        else:
            known[count] = x
            inputs[x] = count
            x.name = count.name
    merged = program.with_calls([call.with_variables(stand_ins) for call in program.calls], stand_ins)
    merged = without_dead_code(without_common_subexpressions(merged))
    updates: dict[Any, Any] = {}
    for place, value in merged.updates.items():
        if updates.setdefault(counts.get(place, place), value) is not value:
            return program
    return Program(
        {x: inputs[x] for x in inputs if x in merged.inputs}, merged.constants, merged.calls, merged.results, updates
    )
