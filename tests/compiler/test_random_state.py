"""Random programs that keep numbers and arrays from call to call: compiled as eagerly, whatever others put there."""

import linecache
import random
import warnings
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.compiler.conftest import BACKENDS
from tinygrad_lite import trees
from tinygrad_lite.errors import UsageError

NAMES = "count", "turn", "rate", "scale", "mean", "square", "last"
NUMBERS, ARRAYS = NAMES[:4], NAMES[4:]
CALLS = 6


@dataclass
class Fields:
    count: int
    turn: int
    rate: float
    scale: float
    mean: Any
    square: Any
    last: Any


class Slots:
    __slots__ = NAMES

    def __init__(self, *values: Any) -> None:
        for name, value in zip(NAMES, values):
            setattr(self, name, value)


KEPT: dict[str, tuple[Callable[..., Any], str]] = {
    "fields": (Fields, "s.{}"),
    "slots": (Slots, "s.{}"),
    "dict": (lambda *values: dict(zip(NAMES, values)), "s['{}']"),
    "list": (lambda *values: [*values], "s[{}]"),
}


class Writer:
    """Writes a random function of `x` that reads and changes what `s` keeps."""

    def __init__(self, rng: random.Random, kept: str) -> None:
        self._rng = rng
        self._reading = KEPT[kept][1]

    def place(self, name: str) -> str:
        return self._reading.format(NAMES.index(name) if "[{}]" in self._reading else name)

    def number(self, depth: int = 0) -> str:
        kept, count = self.place(self._rng.choice(NUMBERS)), self.place("count")
        simple = [kept, kept, "0.5", "3"]
        if depth > 2:
            return self._rng.choice(simple)
        a, b = self.number(depth + 1), self.number(depth + 1)
        of_parts = [f"({a} + {b})", f"({a} * 0.5)", f"np.sqrt(abs({a}) + 1)", f"({a} > {b}) * 1.0", "y.sum().item()"]
        return self._rng.choice([*simple, *of_parts, f"({count} % 3)", f"({count} // 2)", f"0.9**{count}"])

    def array(self, depth: int = 0) -> str:
        simple = ["x", "y", self.place(self._rng.choice(ARRAYS))]
        if depth > 2:
            return self._rng.choice(simple)
        a, b, number = self.array(depth + 1), self.array(depth + 1), self.number()
        of_parts = [
            f"np.tanh({a})",
            f"({a} * {number})",
            f"({a} - {b})",
            f"{a}.T",
            f"np.where({a} > {number}, {a}, {b})",
        ]
        return self._rng.choice([*simple, *of_parts, f"({a} + {b}[{self.place('count')} % 3])"])

    def index(self) -> str:
        return self._rng.choice(["0", "1", "-1", ":, 1", "1:", "[0, 2]", f"{self.place('count')} % 3"])

    def statement(self) -> str:
        one, other = map(self.place, self._rng.sample(ARRAYS, 2))
        rate = self.place(self._rng.choice(NUMBERS[2:]))
        return self._rng.choice(
            [
                f"{self.place(self._rng.choice(NUMBERS[:2]))} += {self._rng.choice((1, 2, -1))}",
                f"{self.place('count')} = ({self.place('count')} + 1) % 4",
                f"{rate} *= 0.9",
                f"{rate} = {self.number()}",
                f"{one} {self._rng.choice('+-*')}= {self._rng.choice((self.array(), self.number()))}",
                f"{one} = {self.array()}",
                f"{one}, {other} = {other}, {one}",
                f"{one} = {other}",
                f"{one}[{self.index()}] = {self.array()}[0]",
                f"{one}[{self.index()}] {self._rng.choice('+-*')}= {self._rng.choice((self.number(), other + '[1]'))}",
                f"{one}[...] = {self.array()}",
                f"y[{self.index()}] = {self.number()}",
                f"row = {one}[{self._rng.choice('012')}]; row += {self._rng.choice((self.number(), other + '[0]'))}",
                f"y = y + {self.array()}",
                f"y *= {self.number()}",
            ]
        )

    def function(self) -> str:
        lines = ["y = x * 1", *(self.statement() for _ in range(self._rng.randint(2, 7)))]
        results = ["y", f"{{'y': y, 'rate': {self.number()}}}", f"({self.place('mean')}, {self.place('count')})"]
        return "".join(f"    {line}\n" for line in [*lines, f"return {self._rng.choice(results)}"])


def start(rng: random.Random, kept: str) -> Any:
    arrays = [np.full((3, 3), 0.5), np.zeros((3, 3)), np.arange(9.0).reshape(3, 3) / 9]
    if rng.random() < 0.2:
        arrays[1] = arrays[0]
    return KEPT[kept][0](rng.choice((0, 1, 3)), 0, 1.0, rng.choice((1.0, 0.25)), *arrays)


def disturb(rng: random.Random, writer: Writer, s: Any) -> None:
    """What other code does between two calls."""
    one, other = map(writer.place, rng.sample(ARRAYS, 2))
    lines = [f"{one} = np.full((3, 3), 0.25)", f"{one} = {other}", f"{one}[0, 0] = 0.125", f"{one} = {other}.copy()"]
    lines += [f"{writer.place('count')} = 5", f"{writer.place('rate')} = 0.5"]
    exec(rng.choice([*lines, *["pass"] * 12]), {"np": np, "s": s})


def history(seed: int, compiled: Callable[[Any], Any]) -> list[Any]:
    """What each call returns, and what is kept after it, and which arrays share memory; up to a refusal."""
    rng = random.Random(seed)
    kept = rng.choice([*KEPT])
    writer = Writer(rng, kept)
    s = start(rng, kept)
    scope: dict[str, Any] = {"np": np, "s": s}
    text, name = f"def f(x):\n{writer.function()}", f"<program {seed}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)  # as in a notebook
    exec(compile(text, name, "exec"), scope)
    f, values, rows = compiled(scope["f"]), np.random.default_rng(seed), []
    for _ in range(CALLS):
        try:
            returned = f(values.normal(size=(3, 3)))
        except (UsageError, ValueError, TypeError, OverflowError):
            break
        state = [eval(writer.place(name), scope) for name in NAMES]
        same = [np.shares_memory(x, y) for y in state[4:] for x in state[4:]]
        rows.append((*deepcopy((trees.leaves(returned), state)), same))
        disturb(rng, writer, s)
    return rows


def is_same(x: Any, y: Any) -> bool:
    if isinstance(x, (tuple, list)):
        return all(map(is_same, x, y))
    kinds = [type(z) if type(z) in (bool, int, float) else np.asarray(z).dtype for z in (x, y)]
    return kinds[0] == kinds[1] and np.allclose(x, y, 1e-7, 1e-7, equal_nan=True)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(140))
def test_random_programs_that_keep_state(seed: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        eager = history(seed, lambda f: f)
        for backend in BACKENDS:
            rows = history(seed, lambda f, backend=backend: tg.compile(f, backend))
            for (*found, same), (*expected, same_before) in zip(rows, eager):  # a refusal ends them
                assert is_same(found, expected)
                assert not any(x and not y for x, y in zip(same, same_before))
