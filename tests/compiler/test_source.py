"""The NumPy source of compiled functions, as text, as a module of its own, and against the gradient checker."""

import itertools
import math
import re
import runpy
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.compiler.test_training import MODELS, OPTIMIZERS, Pair, X
from tinygrad_lite.compiler.source.export import _Quoted
from tinygrad_lite.compiler.source.expressions import broken_call
from tinygrad_lite.engine.registry import operations
from tinygrad_lite.errors import MatrixError, UsageError
from tinygrad_lite.nn import functional as F


def is_clean(path: Path) -> None:
    """A file, or all files of a folder."""
    for command in (["format", "--diff"], ["check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--isolated", str(path)]
        found = subprocess.run(ruff, capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stdout


def test_it_shows_numpys_functions_and_runs_ours_that_take_less_time() -> None:
    x = np.array([[0.5, -1.0], [2.0, 0.25]])
    arguments: dict[str, tuple[Any, ...]] = {"where": (x > 0, x, -x), "expand_dims": (x, 0)}
    met = set()
    for op in operations():
        function = op.forward
        if op.compute is function or isinstance(function, np.ufunc) or function is not getattr(np, op.name, None):
            continue
        met.add(op.name)
        given = arguments.get(op.name, (x,))
        compiled = tg.compile(lambda *x, function=function: 2 * function(*x), "numpy")
        np.testing.assert_array_equal(compiled(*given), 2 * function(*given))
        source = compiled._recorded().source
        assert f"np.{op.name}(" in source.text
        assert op.compute in source.at_speed().expressions.helpers.values()
    assert {"where", "expand_dims", "cumsum", "argsort"} <= met


@pytest.mark.slow
def test_formatted_lint_clean_and_the_same_each_time(tmp_path: Path) -> None:
    for model, optimizer in itertools.product(MODELS, OPTIMIZERS):
        texts = []
        for _ in range(2):
            pair = Pair("numpy", model, optimizer)
            for _ in range(2):
                pair.compiled(X)
            path = tmp_path / f"{model.replace(' ', '_')}_{optimizer}.py"
            pair.compiled.export(path)
            texts.append(path.read_text())
        assert texts[0] == texts[1], path.name
    is_clean(tmp_path)


def test_a_module_trains_without_us(tmp_path: Path) -> None:
    pair = Pair("numpy", optimizer="adam")
    pair.step(), pair.step()
    pair.compiled.export(tmp_path / "step.py")
    np.savez(tmp_path / "state.npz", **pair.compiled.state())
    script = """
import sys
sys.modules["tinygrad_lite"] = None
import numpy as np
from step import step
with np.load("state.npz") as saved:
    state = {name: saved[name] if saved[name].ndim else saved[name].item() for name in saved}
x = np.load("x.npy")
print(*[repr(float(step(x, state))) for _ in range(20)])
"""
    np.save(tmp_path / "x.npy", X)
    found = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    np.testing.assert_allclose([float(x) for x in found.stdout.split()], [pair.eager(X).item() for _ in range(20)])


def assert_exported_gradient_is_right(loss: Any, w: Any, path: Path) -> None:
    """Check the gradient of a function called `loss` in the module that it is exported to."""
    gradient = tg.compile(tg.grad(loss), "numpy")
    gradient(w)
    gradient.export(path)
    scope: dict[str, Any] = {}
    exec(path.read_text(), scope)
    assert tg.gradcheck(loss, w, gradient=lambda w: scope["loss"](w, gradient.state())).ok


def test_a_generated_gradient_passes_the_check(tmp_path: Path) -> None:
    def loss(w: Any) -> Any:
        return np.mean(F.gelu(X @ w) ** 2) + np.sum(np.sort(w)[:2])

    w = np.linspace(-1.0, 0.7, 4)
    assert_exported_gradient_is_right(loss, w, tmp_path / "gradient.py")


def test_constants_keep_their_shapes_and_dtypes(tmp_path: Path) -> None:
    constants = [np.zeros((0, 1, 3)), np.ones((2, 2), np.float32), np.array([np.nan, -np.inf]), np.arange(3) > 1]
    for constant in constants:
        constant.setflags(write=False)
        compiled = tg.compile(lambda x, constant=constant: x * constant, "numpy")
        x = np.ones(constant.shape, np.float32)
        compiled(x)
        compiled.export(tmp_path / "f.py")
        exec((tmp_path / "f.py").read_text(), scope := {})
        found, expected = scope["lambda_"](x), x * constant
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected, strict=True)


SCALE = 1.5


def _scaled(x: Any) -> Any:
    return SCALE * x


take = object()


def _first_two(x: Any) -> Any:
    return x.take([0, 1])


def test_an_attribute_is_no_global_of_the_same_name() -> None:
    quoted = _Quoted()
    quoted.function("first_two", _first_two)
    assert list(quoted.functions) == ["first_two"]


def _with_quotes(x: Any) -> Any:
    text = f"it's {'even' if x % 2 == 0 else 'odd'}"
    return text, 'or "so"'


@lru_cache
def _squared(x: Any) -> Any:
    return x * x


def _calls_a_cached_one(x: Any) -> Any:
    return _squared(x)


def _plus_one(x: Any) -> Any:
    return x + 1


def _twice(x: Any, shared: Any) -> Any:
    return 2 * shared


_twice_one_more = tg.elementwise(_twice, lambda y, x, shared: 2.0, shared=_plus_one, name="twice_one_more")


def _calls_an_operation(x: Any) -> Any:
    return _twice_one_more(x)


def _has_one_inside(x: Any) -> Any:
    @lru_cache
    def inside(y: Path) -> Path:
        return y

    return inside(x)


def _refuses(x: Any) -> Any:
    raise MatrixError(f"not {x}")


QUOTED = [_calls_an_operation, _with_quotes, _calls_a_cached_one, _has_one_inside, _first_two, _scaled, _refuses]


@pytest.mark.parametrize("function", QUOTED)
def test_a_function_in_a_module_does_what_it_did(function: Any) -> None:
    quoted = _Quoted()
    quoted.function("function", function)
    lines = [*quoted.imports, *(f"{name} = {text}" for name, text in quoted.values.items()), *quoted.functions.values()]
    assert not any("tinygrad_lite" in line for line in lines)
    exec("\n".join(lines), scope := {})
    if function is _refuses:
        with pytest.raises(ValueError, match="not 3"):
            scope["function"](3)
    else:
        x = np.arange(4.0) if function is _first_two else 3
        np.testing.assert_array_equal(scope["function"](x), function(x))


def _reads_our_module(x: Any) -> Any:
    return F.relu(x)


def _reads_a_class_from_elsewhere(x: Any) -> Any:
    return Path(x)


@pytest.mark.parametrize("function", [_reads_our_module, _reads_a_class_from_elsewhere, lambda x: x, np.exp])
def test_what_cannot_stand_in_a_module(function: Any) -> None:
    with pytest.raises(UsageError, match="function cannot be exported: it "):
        _Quoted().function("function", function)


def test_rows_can_be_read_in_an_exported_gradient(tmp_path: Path) -> None:
    rows, w = np.array([0, 2, 0]), np.arange(6.0).reshape(3, 2)

    def loss(w: Any) -> Any:
        return np.sum(w[rows] ** 2)

    gradient = tg.compile(tg.grad(loss), "numpy")
    expected = gradient(w)
    gradient.export(tmp_path / "gradient.py")
    exported = runpy.run_path(str(tmp_path / "gradient.py"))
    np.testing.assert_array_equal(exported["loss"](w), expected)


def test_two_meanings_of_a_name_are_not_mixed_up(tmp_path: Path) -> None:
    (tmp_path / "of_others.py").write_text("SCALE = 2.0\n\ndef halved(x):\n    return x / SCALE\n")
    scope = runpy.run_path(str(tmp_path / "of_others.py"))
    quoted = _Quoted()
    quoted.function("scaled", _scaled)
    with pytest.raises(UsageError, match="SCALE has another meaning"):
        quoted.function("halved", scope["halved"])


def test_names_are_those_of_the_user() -> None:
    def potential(x: Any, stiffness: Any) -> Any:
        stretch = np.diff(x)
        energies = stiffness * stretch**2 / 2
        return energies / np.sum(energies)

    compiled = tg.compile(potential, "numpy")
    compiled(np.arange(3.0), np.float64(2.0))
    assert compiled.source == (
        "def potential(x, stiffness):\n"
        "    # forward\n"
        "    # energies = stiffness * stretch**2 / 2\n"
        "    energies = stiffness * np.square(x[1:] - x[:-1]) / 2\n"
        "    # return energies / np.sum(energies)\n"
        "    divide = energies / energies.sum()\n"
        "    return divide\n"
    )


def test_large_arrays_take_results_in() -> None:
    def grown(x: Any, y: Any) -> Any:
        size = np.exp(x * y) + 1
        return np.sum(size), size

    compiled = tg.compile(grown, "numpy")
    x = np.ones((100, 100))
    compiled(x, x)
    assert re.search(r"    size = x \* y\n    np\.exp\(size, out=size\)\n    size \+= 1\n", compiled.source)


@pytest.mark.parametrize(
    ("line", "broken"),
    [
        ("x = f(a, [b, c], d=(e,))", ["x = f(", "    a, [b, c], d=(e,)", ")"]),
        ("x = f('(,', \"a\", g(b, c), d)", ["x = f(", "    '(,',", '    "a",', "    g(b, c),", "    d,", ")"]),
        ("x = f(a, b).sum()", ["x = f(a, b).sum()"]),
        ("x = y", ["x = y"]),
    ],
)
def test_a_call_that_is_too_long_has_its_arguments_on_lines_of_their_own(line: str, broken: list[str]) -> None:
    assert broken_call(line, 22) == broken


def test_what_cannot_be_exported(tmp_path: Path) -> None:
    op = tg.elementwise(lambda x: np.frombuffer(x.tobytes()), 1, name="by_bytes")
    compiled = tg.compile(lambda x: op(x), "numpy")
    compiled(np.ones(3))
    with pytest.raises(UsageError, match="by_bytes cannot be exported"):
        compiled.export(tmp_path / "module.py")
    assert not (tmp_path / "module.py").exists()


def test_a_function_and_its_backward_pass(tmp_path: Path) -> None:
    w = tg.tensor([[0.5, -1.0, 2.0]], requires_grad=True, name="w")
    compiled = tg.compile(lambda x: (np.tanh(x @ w.T), np.sum(x)), "numpy")
    x = np.random.default_rng(0).normal(size=(4, 3))
    y, _ = compiled(x)
    np.sum(y**2).backward()
    assert compiled.source.count("def ") == 2
    compiled.export(tmp_path / "both.py")
    is_clean(tmp_path / "both.py")
    scope: dict[str, Any] = {}
    exec((tmp_path / "both.py").read_text(), scope)
    y, _, *kept = scope["lambda_"](x, compiled.state())
    np.testing.assert_allclose(scope["lambda_backward"](*kept, 2 * y), w.grad.numpy(), rtol=1e-12)


def test_the_formula_of_an_optimiser_is_written_once_and_keeps_its_names() -> None:
    pair = Pair("numpy", optimizer="adam")
    pair.step(), pair.step()
    assert pair.compiled.source.count("m / (np.sqrt(v) / ") == 1


@pytest.mark.parametrize(
    "f",
    [
        lambda w: np.sum(np.var(w, axis=1)),
        lambda w: np.sum(np.tensordot(w, X, (1, 0))),
        lambda w: np.sum(F.softmax(w) ** 2) + F.logsumexp(w) + np.sum(F.gelu(w)),
    ],
)
def test_operations_that_share_or_plan_are_exported(f: Any, tmp_path: Path) -> None:
    w = np.linspace(-1.0, 0.7, 3 * len(X)).reshape(3, len(X))

    def loss(w: Any) -> Any:
        return f(w * X[:, 0])

    assert_exported_gradient_is_right(loss, w, tmp_path / "gradient.py")


@pytest.mark.parametrize("product", [np.dot, np.inner, np.matmul])
@pytest.mark.parametrize("shapes", [((3,), (3,)), ((3, 3), (3,)), ((3,), (3, 3)), ((3, 3), (3, 3))], ids=str)
def test_gradients_of_products_of_vectors_and_matrices_are_such_products(product: Any, shapes: Any) -> None:
    def slopes(a: Any, b: Any) -> Any:
        return tg.grad(lambda a, b: np.sum(np.tanh(product(a, b))), argnums=(0, 1))(a, b)

    slopes = tg.compile(slopes, backend="numpy")
    slopes(*(np.linspace(-1, 1, math.prod(shape)).reshape(shape) for shape in shapes))
    assert not set(re.findall(r"tensordot|moveaxis|transpose|swapaxes|reshape", slopes.source))
