"""Each pass by itself: what it does, and that it keeps the meaning of random programs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings

import tinygrad_lite as tg
from tinygrad_lite import trees
from tinygrad_lite.compiler.passes import PASSES, simplified
from tinygrad_lite.compiler.places import Argument
from tinygrad_lite.compiler.program import Program as Recorded
from tinygrad_lite.compiler.recording.recording_run import Recorder
from tinygrad_lite.compiler.source.executor import NumpyExecutor
from tinygrad_lite.compiler.source.numpy_source import NumpySource
from tinygrad_lite.testing import Program, programs

X = np.array([[0.5, -1.0, 2.0], [0.25, 3.0, -0.5]])


def recorded(f: Callable[..., Any], *x: Any) -> Recorded:
    recorder = Recorder({})
    places = iter([Argument(i, f"x{i}") for i in range(len(trees.leaves(x)))])
    recorder.run(f, trees.map_leaves(lambda each: recorder.passed_in(next(places), each), x), {})
    return recorder.program


def run(program: Recorded, *x: Any) -> Any:
    return NumpyExecutor(NumpySource(program, "f", [f"x{i}" for i in range(len(x))])).run(x)


def names(program: Recorded) -> list[str]:
    return [call.op.name for call in program.calls]


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
@pytest.mark.parametrize("simplify", [*PASSES, simplified], ids=lambda each: each.__name__)
@settings(max_examples=20)
@given(program=programs(max_steps=8))
def test_a_pass_keeps_the_meaning(simplify: Callable[[Recorded], Recorded], program: Program) -> None:
    assume(program.steps)
    before = recorded(program.run, *program.leaves)
    found, expected = run(simplify(before), *program.leaves), [program.run(*program.leaves)]
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-12, atol=1e-12)


def _contribution(x: Any, index: Any) -> Any:
    """What a read at an index passes to an array of the form of x."""
    y, pull = tg.vjp(lambda y: y[index], np.ones((2, 3)))
    return pull(np.reshape(np.sin(x), y.shape))[0]


SIMPLER: dict[str, tuple[Callable[[Any], Any], list[str]]] = {
    "dead code": (lambda x: (np.exp(x), np.sin(x) * 2)[1], ["sin", "multiply"]),
    "computed twice": (lambda x: np.exp(x) * np.sin(x) + np.exp(x), ["exp", "sin", "multiply", "add"]),
    "not the same numbers": (lambda x: (x * 1.5) + (x * 2.5), ["multiply", "multiply", "add"]),
    "and true, or false": (
        lambda x: ((True & (x > 0)) | False) & (np.logical_or(False, x < 1)),
        ["greater", "less", "bitwise_and"],
    ),
    "within bounds": (
        lambda x: tg.grad(lambda x: np.sum(np.clip(x, -1.0, 2.0)))(x),
        ["less_equal"] * 2 + ["bitwise_and", "multiply"],
    ),
    "joined in another dtype": (
        lambda x: np.stack([x, x], dtype=np.float32, casting="same_kind"),
        ["cast", "stack"],
    ),
    "whole numbers and true": (lambda x: np.floor(x).astype(int) & True, ["floor", "cast", "bitwise_and"]),
    "constants": (lambda x: x * (np.arange(3.0) + 1), ["multiply"]),
    "times one": (lambda x: x * 1.0 / 1.0 - 0.0, []),
    "plus zero is not nothing, for -0.0": (lambda x: x + 0.0, ["add"]),
    "transposed twice": (lambda x: x.T.T, []),
    "swapped and transposed": (lambda x: np.swapaxes(x, -1, -2).T, []),
    "parts that fill an array": (
        lambda x: tg.grad(lambda x: np.sum(np.sin(x[:, :1])) + np.sum(np.cos(x[:, 1:])))(x),
        ["getitem", "getitem", "sin", "negative", "cos", "concatenate"],
    ),
    "two factors": (lambda x: 0.0078125 * (2 * np.sin(x)), ["sin", "multiply"]),
    "two factors of which none is a power of two": (lambda x: 0.1 * (3 * x), ["multiply", "multiply"]),
    "a power of three and a square": (lambda x: x**3 + x**2, ["square", "multiply", "add"]),
    "a power of seven": (lambda x: x**7, ["square", "multiply", "square", "multiply"]),
    "broadcast to what is there": (lambda x: np.broadcast_to(x[0], (2, 3)) * x, ["getitem", "multiply"]),
    "broadcast to what is not": (
        lambda x: np.broadcast_to(x[0], (4, 3)) * x[1],
        ["getitem", "broadcast_to", "getitem", "multiply"],
    ),
    "axes in a round": (lambda x: np.transpose(np.transpose(x[None], (1, 2, 0)), (2, 0, 1))[0], ["getitem", "getitem"]),
    "reshaped twice": (lambda x: np.reshape(np.reshape(x, (3, 2)), (6,)), ["reshape"]),
    "the whole by an index": (lambda x: np.sin(x)[()], ["sin"]),
    "the whole by slices": (lambda x: np.sin(x)[0 : x.shape[0], ...], ["sin"]),
    "turned by a slice": (lambda x: np.sin(x)[::-1], ["sin", "getitem"]),
    **{
        f"gradient of a read at {index}": (lambda x, index=index: _contribution(x, index), ["sin"])
        for index in (
            np.s_[:, None],
            np.s_[None],
            np.s_[:, :, None],
            np.s_[..., None],
            np.s_[:, None, :, None],
            np.s_[:2, None],
            np.s_[:2],
        )
    },
    "gradient of a read from the end": (lambda x: _contribution(x, np.s_[::-1, None]), ["sin", "reshape", "scatter"]),
    "reshaped to the same": (lambda x: np.reshape(x, (2, 3)), []),
    "minus minus": (lambda x: np.negative(np.negative(x)), []),
    "adding a negative": (lambda x: np.sin(x) + -np.cos(x), ["sin", "cos", "subtract"]),
    "broadcast and summed": (lambda x: np.sum(np.broadcast_to(x, (4, 2, 3)), axis=0), ["multiply"]),
    "a column of a product": (lambda x: (x @ x[0][..., None])[..., 0], ["getitem", "matmul"]),
    "the sign of a positive part": (lambda x: np.maximum(x, 0) * (x > 0), ["maximum", "greater", "multiply"]),
}


@pytest.mark.parametrize(("f", "left"), SIMPLER.values(), ids=SIMPLER)
def test_a_simplified_program_has_these_operations(f: Callable[[Any], Any], left: list[str]) -> None:
    program = simplified(recorded(f, X))
    assert names(program) == left
    np.testing.assert_array_equal(run(program, X)[0], f(X))


def test_equal_constants_are_one() -> None:
    program = simplified(recorded(lambda x: (x + np.array([1.0, 2.0, 3.0])) * np.array([1.0, 2.0, 3.0]), X))
    assert len(program.constants) == 1


def test_the_sign_of_a_number_is_read_from_its_positive_part() -> None:
    program = simplified(recorded(lambda x: np.maximum(x, 0) * (x > 0), X))
    assert program.calls[1].inputs[0] is program.calls[0].result


def test_signs_of_zero_are_kept() -> None:
    x = np.array([-0.0, 0.0])
    for f in (lambda x: x + 0.0, lambda x: x - 0.0, lambda x: np.negative(np.negative(x)), lambda x: x * 1.0):
        found = run(simplified(recorded(f, x)), x)[0]
        np.testing.assert_array_equal(np.signbit(found), np.signbit(f(x)))


@pytest.mark.parametrize("size", [6, 10_000])
def test_a_gradient_is_as_short_as_by_hand(size: int) -> None:
    x = np.linspace(-1, 1, size)
    program = simplified(recorded(lambda x: tg.grad(lambda x: np.sum(np.tanh(x)))(x), x))
    assert names(program) == ["cosh", "divide", "square"]  # and no tanh, which the derivative does not read
    program = simplified(recorded(lambda x: tg.grad(lambda x: np.mean((x - 1) ** 2))(x), x))
    assert names(program) == ["subtract", "multiply"]
    program = simplified(recorded(lambda x: tg.grad(lambda x: np.sum(x**3))(x), x))
    assert names(program) == ["square", "multiply"]
    assert program.calls[-1].result.name == "d_x0"  # not that of the operation
