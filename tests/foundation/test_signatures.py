"""What functions read, and what is said of a call that their signature does not allow."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn
from tinygrad_lite.errors import UsageError
from tinygrad_lite.exercises.variants import variants
from tinygrad_lite.foundation.signatures import outside_of

SCALE = tg.tensor(2.0, requires_grad=True)


X = np.array([1.0, 2.0])
READERS: dict[str, Callable[[Any], Any]] = {
    "explain": lambda f: tg.explain(f, tg.tensor(X, requires_grad=True)),
    "compile": lambda f: tg.compile(f)(X),
    "gradcheck": lambda f: tg.gradcheck(f, X),
    "variants": variants,
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_a_function_may_read_a_name_that_has_no_value_yet(reader: Callable[[Any], Any]) -> None:
    weight = tg.tensor(3.0, requires_grad=True)

    def f(x: Any) -> Any:
        return below(x) if np.ndim(x) > 5 else np.sum(weight * x * x) + SCALE

    around, nonlocals = outside_of(f)
    assert around["SCALE"] is SCALE
    assert nonlocals == {"weight": weight}
    assert reader(f)

    def below(x: Any) -> Any:
        return x

    assert outside_of(f)[1] == {"weight": weight, "below": below}


def test_what_is_not_written_in_python_reads_nothing() -> None:
    assert outside_of(np.sin) == outside_of(nn.ReLU()) == outside_of(len) == ({}, {})
    assert "np" in outside_of(test_what_is_not_written_in_python_reads_nothing)[0]
    assert "Linear" not in outside_of(nn.Linear(1, 1, rng=0).forward)[1]


@pytest.mark.parametrize("name", ["dim", "dims", "keepdim", "diagonal", "descending", "unbiased", "start_dim"])
def test_a_users_argument_that_pytorch_has_too_is_not_to_be_renamed(name: str) -> None:
    scope: dict[str, Any] = {}
    exec(f"def mine(x, *, {name}): return x", scope)
    op = tg.primitive(scope["mine"], lambda g, y, x, **settings: g, name="mine")
    with pytest.raises(UsageError, match="missing a required argument") as error:
        op(**{name: 1})
    assert "write" not in str(error.value)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="earlier Pythons evaluate annotations with the definition")
def test_annotations_may_name_what_is_there_for_type_checkers_alone() -> None:
    def loss(w: Weights) -> Weights:  # type: ignore[name-defined] # noqa: F821
        return np.sum(w**3)

    def slope(y: Weights, x: Weights) -> Weights:  # type: ignore[name-defined] # noqa: F821
        return 3 * x**2

    for read in READERS.values():
        read(loss)
    assert tg.elementwise(lambda x: x**3, slope, name="cube")(2.0) == 8
