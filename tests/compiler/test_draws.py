"""Draws of random numbers: a compiled function draws what the function would, and leaves generators as it would."""

# ruff: noqa: NPY002  # what users draw from is tested

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.random as npr
import pytest
from numpy.random import randn

import tinygrad_lite as tg
from tests.compiler.test_guards import recordings
from tinygrad_lite.compiler.draws import GENERATORS, set_state, state_of
from tinygrad_lite.compiler.recording.randomness import in_place_of

X = np.arange(3.0) + 1


class Noise:
    """Generators, and methods of some, in fields."""

    def __init__(self) -> None:
        self.new, self.old = np.random.default_rng(1), np.random.RandomState(1)
        self.draw = np.random.RandomState(2).uniform


_new, _old = np.random.default_rng(3), np.random.RandomState(3)
_of_new, _of_old = np.random.default_rng(4).normal, np.random.RandomState(4).normal
_noise = Noise()
_listed = [np.random.default_rng(5), np.random.RandomState(5)]
_named = {"new": np.random.default_rng(6), "old": np.random.RandomState(6)}


def _closure() -> Callable[[Any], Any]:
    inner, draw = np.random.RandomState(7), np.random.RandomState(8).normal
    return lambda x: x * inner.randn(3) + draw()


DRAWS: dict[str, Callable[[Any], Any]] = {
    "a Generator": lambda x: x * _new.normal(size=3),
    "a RandomState": lambda x: x * _old.randn(3),
    "methods": lambda x: x * _of_new(size=3) + _of_old(size=3),
    "fields": lambda x: x * _noise.new.random() + _noise.old.rand(3),
    "a method in a field": lambda x: x * _noise.draw(0, 1, 3),
    "lists": lambda x: x * _listed[0].normal(size=3) + _listed[1].normal(size=3),
    "dicts": lambda x: x * _named["new"].gamma(2.0, size=3) + _named["old"].gamma(2.0, size=3),
    "a closure": _closure(),
    "NumPy's functions": lambda x: x * np.random.normal(size=3) + np.random.rand(3),
    "its module under another name": lambda x: x + npr.standard_t(3.0, size=3),
    "one function under a name": lambda x: x * randn(3),
    "a gaussian that waits for its twin": lambda x: x * np.random.randn() + npr.random_sample(),
    "a branch": lambda x: x * 2 if np.random.random() < 0.5 else x + _old.rand(),
    "a mask": lambda x: np.where(npr.binomial(1, 0.5, 3) == 1, x, 0),
    "an index": lambda x: x[_old.randint(0, 3)] + x[np.random.permutation(3)],
    "several numbers": lambda x: x + np.random.multivariate_normal(np.zeros(3), np.eye(3)),
    "a gradient": lambda x: tg.grad(lambda x: np.sum(x**2 * npr.randn(3)))(x),
}


def _generators() -> list[Any]:
    inside = [cell.cell_contents for cell in DRAWS["a closure"].__closure__ or ()]
    found = [
        _new,
        _old,
        _of_new,
        _of_old,
        *vars(_noise).values(),
        *_listed,
        *_named.values(),
        *inside,
        np.random.normal,
    ]
    return [x if isinstance(x, GENERATORS) else x.__self__ for x in found]


@pytest.mark.parametrize("f", DRAWS.values(), ids=DRAWS)
def test_a_compiled_function_draws_what_the_function_would(f: Callable[[Any], Any], backend: str) -> None:
    def calls(function: Callable[[Any], Any]) -> list[Any]:
        for generator, state in zip(_generators(), before):
            set_state(generator, state)
        drawn = []
        for turn in range(5):
            drawn.append(np.array(function(X + turn)))
            if turn == 2:  # others draw from the same
                drawn += [np.array(generator.normal()) for generator in _generators()]
        return [*drawn, *[np.array(generator.normal()) for generator in _generators()]]

    np.random.seed(0)
    before = [state_of(generator) for generator in _generators()]
    expected = calls(f)
    compiled = tg.compile(f, backend)
    for found, number in zip(calls(compiled), expected, strict=True):
        np.testing.assert_allclose(found, number, rtol=1e-14)
    assert recordings(compiled) >= 1  # one for each way that a branch goes


@pytest.mark.parametrize("kind", [np.random.default_rng, np.random.RandomState])
def test_a_generator_as_an_argument(kind: Callable[[int], Any], backend: str) -> None:
    f = tg.compile(lambda x, rng: x * rng.normal(size=3), backend)
    for seed in (0, 0, 1):
        rng, own = kind(seed), kind(seed)
        for _ in range(3):
            np.testing.assert_array_equal(f(X, rng), X * own.normal(size=3))
    assert recordings(f) == 1


def test_the_source_names_numpys_functions() -> None:
    f = tg.compile(lambda x: x * np.random.normal(size=3) + _old.rand(), "numpy")
    f(X)
    assert "np.random.normal(size=3)" in f.source
    assert "rng.rand()" in f.source


@pytest.mark.parametrize("kind", [np.random.default_rng, np.random.RandomState])
def test_what_another_thread_draws_meanwhile_is_no_part_of_the_program(kind: Callable[[int], Any]) -> None:
    written: list[Any] = []
    rng, own = kind(0), kind(0)
    stand_in = in_place_of(rng, None, lambda *call: written.append(call))
    with ThreadPoolExecutor(1) as other:
        assert other.submit(lambda: stand_in.normal()).result() == own.normal()
    assert not written
    stand_in.normal()
    assert len(written) == 1
