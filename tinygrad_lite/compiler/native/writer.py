"""The writer: loops as the text of a Python function for Numba.

Short inner loops are unrolled. An entry that is needed in only one turn of the loops around it is a local variable,
which the compiler keeps in a register.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinygrad_lite.compiler.native.loops import Access, Dimension, Loop, Opaque, statements
from tinygrad_lite.compiler.program import Variable

UNROLLED = 32  # the largest number of statements in an unrolled loop


@dataclass(eq=False)
class _Line:
    """A statement in particular turns of the unrolled loops."""

    statement: Any
    turns: Mapping[Dimension, int]
    around: tuple[Dimension, ...]

    def address(self, x: Access) -> tuple[int, tuple[tuple[Dimension, int], ...]]:
        """The offset of an entry, and its strides along the remaining loops."""
        offset = x.offset + sum(
            stride * self.turns[dimension] for dimension, stride in x.strides.items() if dimension in self.turns
        )
        return offset, tuple(
            (dimension, stride) for dimension, stride in x.strides.items() if dimension not in self.turns
        )


def parts(body: list[Any]) -> list[Any]:
    """Runs of consecutive loops, as lists, and the items between them."""
    innermost: list[Any] = []
    for item in body:
        if isinstance(item, Opaque):
            innermost.append(item)
        elif innermost and isinstance(innermost[-1], list):
            innermost[-1].append(item)
        else:
            innermost.append([item])
    return innermost


class Writer:
    """The text of loops.

    Attributes:
        locals: the variables that are local in the text, and need no memory, with their names.

    Args:
        parts: the parts to run one after another.
        own: the variables that only the loops use.
    """

    def __init__(self, parts: list[Any], own: set[Variable]) -> None:
        self._trees = {
            position: [part for item in items for part in _expanded(item, {}, ())]
            for position, items in enumerate(parts)
            if isinstance(items, list)
        }
        self.locals: dict[Variable, str] = {}
        alone = own - _met_in_several(parts)
        for tree in self._trees.values():
            self._find_locals(tree, alone)

    def _find_locals(self, tree: list[Any], own: set[Variable]) -> None:
        """Find the variables that are needed in only one turn of the loops around them."""
        accesses: dict[Variable, list[tuple[_Line, Access]]] = {}
        for line in _all_lines(tree):
            for x in (*line.statement.reads, line.statement.target):
                accesses.setdefault(x.variable, []).append((line, x))
        for x, uses in accesses.items():
            if x not in own:
                continue
            shared = uses[0][0].around
            for line, _ in uses:
                shared = tuple(a for a, b in zip(shared, line.around) if a is b)
            forms = {tuple(sorted(((id(d), s) for d, s in line.address(access)[1]))) for line, access in uses}
            dims = {d for line, access in uses for d, _ in line.address(access)[1]}
            if len(forms) == 1 and dims <= set(shared):
                self.locals[x] = f"v{len(self.locals)}"

    def texts(self, parameters: Sequence[str], arrays: Sequence[str]) -> dict[int, str]:
        """The source of a function for each run of loops, by its position; `arrays`: which parameters are arrays."""
        texts = {}
        for position, tree in self._trees.items():
            lines = [f"def part_{position}({', '.join(parameters)}):"]
            lines += [f"    {name} = {name}.reshape(-1)" for name in arrays]
            texts[position] = "\n".join([*lines, *_Text(tree, self.locals).lines]) + "\n"
        return texts


def repeated(text: str, sizes: Mapping[str, int], drawn: Sequence[tuple[str, int, int]], results: Sequence[str]) -> str:
    """The source of a function that repeats the function of another source many times.

    Its first argument is the number of turns. Each array comes with the distance to the next turn's array. The random
    draws for all turns follow; `drawn` says where they go: the buffer, the start, and the length. The last arguments
    are arrays that store the results of each turn; `results` says where these lie.
    """
    head, *body = text.splitlines()
    name, parameters = head.removeprefix("def ").removesuffix("):").split("(")
    arguments = ["turns"]
    for parameter in parameters.split(", "):
        arguments += [f"all_{parameter}", f"step_{parameter}"] if parameter in sizes else [parameter]
    arguments += [f"drawn_{i}" for i in range(len(drawn))] + [f"result_{i}" for i in range(len(results))]
    lines = [f"def repeat_{name}({', '.join(arguments)}):"]
    lines += [f"    all_{parameter} = all_{parameter}.reshape(-1)" for parameter in sizes]
    lines.append("    for turn in range(turns):")
    for parameter, size in sizes.items():
        lines.append(
            f"        {parameter} = all_{parameter}[turn * step_{parameter} : turn * step_{parameter} + {size}]"
        )
    for i, (buffer, start, size) in enumerate(drawn):
        lines.append(f"        {buffer}[{start} : {start + size}] = drawn_{i}[turn * {size} : (turn + 1) * {size}]")
    lines += [f"    {line}" for line in body[len(sizes) :]]
    lines += [f"        result_{i}[turn] = {result}" for i, result in enumerate(results)]
    return "\n".join(lines) + "\n"


def _met_in_several(parts: list[Any]) -> set[Variable]:
    """The variables that several parts read or write, or a part that is not a loop."""
    first: dict[Variable, int] = {}
    several = set()
    for position, part in enumerate(parts):
        for item in part if isinstance(part, list) else [part]:
            for statement in statements(item):
                for x in (*statement.reads, *statement.writes):
                    if first.setdefault(x.variable, position) != position or part is statement:
                        several.add(x.variable)
    return several


def _expanded(item: Any, turns: Mapping[Dimension, int], around: tuple[Dimension, ...]) -> list[Any]:
    """An item with its short loops unrolled."""
    if not isinstance(item, Loop):
        return [_Line(item, turns, around)]
    dimension = item.dimension
    inside = [part for inner in item.body for part in _expanded(inner, turns, (*around, dimension))]
    count = sum(1 for _ in _all_lines(inside))
    if dimension.extent * count > UNROLLED or any(isinstance(part, tuple) or part.statement.calls for part in inside):
        return [(dimension, inside)]
    return [  # statement by statement, so that all turns of a statement become one vector instruction
        part
        for inner in item.body
        for turn in range(dimension.extent)
        for part in _expanded(inner, {**turns, dimension: turn}, around)
    ]


def _all_lines(parts: Iterable[Any]) -> Iterable[_Line]:
    for part in parts:
        if isinstance(part, tuple):
            yield from _all_lines(part[1])
        else:
            yield part


class _Text:
    def __init__(self, tree: list[Any], local: Mapping[Variable, str]) -> None:
        self.lines: list[str] = []
        self._loops: dict[Dimension, str] = {}
        self._locals = local
        self._read = 0
        self._write(tree, 1)

    def _entry(self, line: _Line, x: Any) -> str:
        if not isinstance(x, Access):
            return _literal(x)
        offset, strides = line.address(x)
        if x.buffer.startswith("n"):
            return x.buffer
        if x.variable in self._locals:
            return f"{self._locals[x.variable]}_{offset}"
        terms = [
            self._loops[dimension] if stride == 1 else f"{stride} * {self._loops[dimension]}"
            for dimension, stride in strides
        ]
        if offset or not terms:
            terms.append(str(offset))
        return f"{x.buffer}[{' + '.join(terms)}]"

    def _write(self, parts: list[Any], depth: int) -> None:
        indent = "    " * depth
        loaded: dict[str, str] = {}
        for part in parts:
            if isinstance(part, tuple):
                dimension, inside = part
                name = self._loops[dimension] = f"j{len(self._loops)}"
                self.lines.append(f"{indent}for {name} in range({dimension.extent}):")
                self._write(inside, depth + 1)
                continue
            statement = part.statement
            operands = []
            for x in statement.operands:
                text = self._entry(part, x)
                if isinstance(x, Access) and x.buffer.startswith("a"):
                    # read once, since for the compiler each write may change an argument
                    if text not in loaded:
                        self._read += 1
                        loaded[text] = f"r{self._read}"
                        self.lines.append(f"{indent}{loaded[text]} = {text}")
                    text = loaded[text]
                operands.append(f"({text})" if text.startswith("-") else text)
            right = statement.form.text.format(*operands)
            self.lines.append(f"{indent}{self._entry(part, statement.target)} = {right}")


def _literal(x: Any) -> str:
    if x != x:
        return "np.nan"
    return repr(x) if abs(x) != float("inf") else "np.inf" if x > 0 else "-np.inf"
