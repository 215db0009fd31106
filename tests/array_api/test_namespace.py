"""The array API standard's namespace of tensors, function by function, against the strict implementation of it."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.array_api.calls import CALLS, parts
from tinygrad_lite import errors

strict = pytest.importorskip("array_api_strict", reason="the strict namespace is a package of its own")
compat = pytest.importorskip("array_api_compat", reason="array-api-compat is a package of its own")
if not hasattr(np, "__array_namespace_info__"):
    pytest.skip("NumPy 2.0 has not all functions of the standard", allow_module_level=True)
XP = tg.tensor(1.0).__array_namespace__()
X, Y = np.random.default_rng(0).uniform(size=(2, 3, 3))
PAGE = Path(__file__).parents[2] / "docs" / "other_arrays.md"


def names_in_the_standard() -> set[str]:
    names = {name for name in strict.__all__ if name[0].islower() and name in dir(np) and callable(getattr(np, name))}
    names -= {
        name for name in names if isinstance(getattr(np, name), type) and issubclass(getattr(np, name), np.generic)
    }
    return names | {f"linalg.{name}" for name in strict.linalg.__all__} | {f"fft.{name}" for name in strict.fft.__all__}


def test_every_function_of_the_standard_is_there() -> None:
    assert CALLS.keys() == names_in_the_standard()
    for constant in ("e", "inf", "nan", "newaxis", "pi", *XP.__array_namespace_info__().dtypes()):
        assert hasattr(XP, constant)


@pytest.fixture(autouse=True)
def newest_version() -> Any:
    with strict.ArrayAPIStrictFlags(api_version="2025.12"):
        yield


@pytest.mark.parametrize("name", CALLS)
def test_values_dtypes_and_shapes_are_those_of_the_standard(name: str) -> None:
    results = parts(CALLS[name](XP, tg.tensor(X), tg.tensor(Y)))
    for a, b in zip(results, parts(CALLS[name](strict, strict.asarray(X), strict.asarray(Y))), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-12, strict=True)


def kind_of(name: str) -> str:
    """What the function does with the history of its arguments."""
    try:
        result = CALLS[name](XP, tg.tensor(X, requires_grad=True), tg.tensor(Y, requires_grad=True))
    except errors.UsageError:
        return "refused"
    results = result if isinstance(result, (tuple, list)) else [result]
    if any(isinstance(x, tg.Tensor) and x.requires_grad for x in results):
        return "gradient"
    return "answers" if any(isinstance(x, tg.Tensor) for x in results) else "about arrays"


def test_the_page_says_which_functions_pass_gradients() -> None:
    rows = re.findall(
        r"^\| ([a-z ]+) \| (.*) \|$", PAGE.read_text().split("## The array API standard")[1], re.MULTILINE
    )
    kinds = {name: kind for kind, names in rows for name in re.findall(r"`([\w.]+)`", names)}
    assert kinds == {name: kind for name in CALLS if (kind := kind_of(name)) != "gradient"}


def test_sorting_downward_keeps_equal_entries_in_their_order() -> None:
    x = tg.tensor([[2.0, 1.0, 2.0], [0.0, 0.0, 3.0]], requires_grad=True)
    np.testing.assert_array_equal(XP.argsort(x, descending=True), [[0, 2, 1], [2, 0, 1]])
    (XP.sort(x, axis=0, descending=True) * XP.asarray([[1.0], [2.0]])).sum().backward()
    np.testing.assert_array_equal(x.grad, [[1, 1, 2], [2, 2, 1]])


def test_array_api_compat_finds_the_namespace() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    assert compat.array_namespace(x, tg.tensor(1.0)) is XP
    assert compat.is_array_api_obj(x)
    assert compat.device(x) == x.device == "cpu"
    assert compat.to_device(x, "cpu") is x
    assert compat.size(x) == 2
    assert tg.grad(lambda v: compat.array_namespace(v).sum(v**2))(np.ones(2)).tolist() == [2.0, 2.0]
    assert tg.jvp(lambda v: v.__array_namespace__().sum(v**2), (np.ones(2),), (np.ones(2),)) == (2.0, 4.0)
    with pytest.raises(errors.InputError, match=r"versions 2021\.12, .*got '2019\.01'"):
        x.__array_namespace__(api_version="2019.01")
    with pytest.raises(errors.InputError, match="stays there"):
        x.to_device("gpu")


def test_an_array_becomes_a_tensor_and_a_tensor_stays_in_its_graph() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    assert XP.asarray(x) is x
    assert XP.asarray(x, copy=True) is not x
    assert XP.asarray([x, 2 * x]).requires_grad
    assert XP.asarray(x, dtype=XP.float32).requires_grad
    assert XP.asarray(np.ones(2), device="cpu").tolist() == [1.0, 1.0]
    for copied in (lambda: XP.asarray(np.ones(2), copy=False), lambda: XP.asarray(x, dtype=XP.float32, copy=False)):
        with pytest.raises(errors.InputError, match="leave out copy=False"):
            copied()
    assert complex(XP.asarray(1 + 2j)) == 1 + 2j
    assert complex(XP.asarray(2.0)) == 2


def test_what_numpy_has_beyond_the_standard_is_there_but_nothing_that_writes() -> None:
    assert XP.einsum is np.einsum
    assert {"einsum", "zeros"} <= set(dir(XP))
    assert not hasattr(XP, "put_along_axis")
    assert "put_along_axis" not in dir(XP)


def test_all_names_can_be_imported_at_once() -> None:
    names: dict[str, Any] = {}
    exec("from tinygrad_lite.array_api import *", names)
    assert {name.split(".")[0] for name in CALLS} <= names.keys()
    assert not {"fill_diagonal", "put", "creation", "updates", "Any"} & names.keys()


def test_an_array_that_knows_nothing_but_the_standard_becomes_numpys() -> None:
    x = tg.tensor(strict.asarray([1.0, 2.0]), requires_grad=True)
    (x**3).sum().backward()
    assert type(x.data) is type(x.grad.data) is np.ndarray
    np.testing.assert_array_equal(x.grad, [3.0, 12.0])


@pytest.mark.parametrize("kind", ["set", "add", "subtract", "multiply", "divide", "power", "min", "max"])
def test_updates_of_array_api_extra_make_new_tensors(kind: str) -> None:
    extra = pytest.importorskip("scipy._lib.array_api_extra", reason="SciPy comes with the extra `examples`")
    x = tg.tensor(X.astype(np.float32), requires_grad=True)
    assert compat.array_namespace(x) is XP
    updated = getattr(extra.at(x)[0, 1:], kind)(tg.tensor(0.5))
    expected = getattr(extra.at(X.astype(np.float32), (0, slice(1, None))), kind)(0.5, copy=True)
    assert updated.dtype == x.dtype
    np.testing.assert_allclose(updated.detach(), expected, rtol=1e-6)
    assert updated.requires_grad
    np.testing.assert_array_equal(x.detach(), X.astype(np.float32))
    with pytest.raises(errors.UsageError, match="never change"):
        getattr(extra.at(x)[0], kind)(0.5, copy=False)


@pytest.mark.slow
def test_scipy_and_scikit_learn() -> None:
    """In a process of its own, see there."""
    program = [sys.executable, "-m", "tests.array_api.libraries"]
    run = subprocess.run(program, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == {"right": 145, "wrong": {}}
