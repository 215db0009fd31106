"""Exports for C: what compilers make of the text gives the numbers of the compiled function, step after step."""

import itertools
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import tinygrad_lite as tg
from tests.compiler.c_code import COMPILERS, STRICT, CFunction
from tests.compiler.test_operations import drawn
from tests.compiler.test_repeats import layers, rnn, runge_kutta
from tests.compiler.test_training import MODELS, OPTIMIZERS, Pair, X
from tests.marks import param, spread
from tests.ops.test_registry import DIFFERENTIABLE
from tinygrad_lite import nn, optim
from tinygrad_lite.compiler.c.forms import FORMS
from tinygrad_lite.compiler.native.functions import BY_NUMPYS
from tinygrad_lite.engine.op import Op
from tinygrad_lite.errors import UsageError

RNG = np.random.default_rng(0)
TOLERANCE = {np.float64: 1e-10, np.float32: 2e-4}
BY_BYTES = tg.elementwise(lambda x: np.frombuffer(x.tobytes()), 1, name="by_bytes")


class Recurrent(nn.Module):
    """Reads five vectors one after another."""

    def __init__(self, dtype: Any) -> None:
        self.inner = nn.Linear(13, 8, rng=0, dtype=dtype)
        self.outer = nn.Linear(8, 8, rng=1, dtype=dtype)
        self.out = nn.Linear(8, 1, rng=2, dtype=dtype)

    def forward(self, x: Any) -> Any:
        h = np.zeros((len(x), 8), x.dtype)
        for t in range(1, 6):
            h = np.tanh(self.inner(x / t) + self.outer(h))
        return self.out(h)


NETWORKS = {
    "13-8-1": lambda dtype: nn.Sequential(
        nn.Linear(13, 8, rng=0, dtype=dtype), nn.ReLU(), nn.Linear(8, 1, rng=1, dtype=dtype)
    ),
    "recurrent": Recurrent,
}
ALWAYS = [("13-8-1", "sgd", np.float32), ("recurrent", "adam", np.float64)]  # the others are slow tests
STEPS = {"sgd": lambda p: optim.SGD(p, lr=0.1), "adam": lambda p: optim.Adam(p, lr=0.01)}


def exported(compiled: Any, path: Path, *settings: Any) -> CFunction:
    compiled.export(path / "exported.c", library="c")
    return CFunction(path / "exported.c", *settings)


def assert_same_state(function: CFunction, state: Any, compiled: Any, tolerance: float) -> None:
    for (name, _), expected in zip(function.fields.values(), compiled.state().values(), strict=False):
        np.testing.assert_allclose(state[name], expected, rtol=tolerance, atol=tolerance)


@pytest.mark.long
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize(
    ("network", "optimizer", "dtype"),
    [
        param(network, optimizer, dtype, slow=(network, optimizer, dtype) not in ALWAYS)
        for network in NETWORKS
        for optimizer in STEPS
        for dtype in TOLERANCE
    ],
)
def test_training(network: str, optimizer: str, dtype: Any, compiler: str, tmp_path: Path) -> None:
    model = NETWORKS[network](dtype)
    rule = STEPS[optimizer](model.parameters())

    def step(x: Any, target: Any) -> Any:
        rule.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(model(x), target)
        loss.backward()
        rule.step()
        return loss

    step = tg.compile(step, "numpy")
    x, target = RNG.normal(size=(32, 13)).astype(dtype), (RNG.random((32, 1)) < 0.5).astype(dtype)
    for _ in range(2):
        step(x, target)
    function = exported(step, tmp_path, compiler, ("-O3",))
    state = function.state(step.state())
    for _ in range(40):
        (loss,) = function(x, target, state=state)
        np.testing.assert_allclose(loss, step(x, target).item(), rtol=TOLERANCE[dtype])
    assert_same_state(function, state, step, TOLERANCE[dtype])
    for name, parameter in model.named_parameters():
        gradient, _ = function.fields[f"{name}.grad"]
        np.testing.assert_allclose(state[gradient], parameter.grad.numpy(), rtol=1e-4, atol=TOLERANCE[dtype])


@pytest.mark.long
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize(
    ("model", "optimizer"), spread(itertools.product([name for name in MODELS if name != "dropout"], OPTIMIZERS), 1)
)
def test_models_and_optimisers(model: str, optimizer: str, compiler: str, tmp_path: Path) -> None:
    pair = Pair("numpy", model, optimizer)
    for _ in range(2):
        pair.compiled(X)
    function = exported(pair.compiled, tmp_path, compiler)
    state = function.state(pair.compiled.state())
    for _ in range(24):
        (loss,) = function(X, state=state)
        np.testing.assert_allclose(loss, pair.compiled(X).item(), rtol=1e-9)
    assert_same_state(function, state, pair.compiled, 1e-9)


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("make", spread([rnn, runge_kutta, layers], 0))
def test_what_repeats_is_one_function(make: Any, compiler: str, tmp_path: Path) -> None:
    loops = []
    for turns in (24, 96):
        f, x = make(turns)
        compiled = tg.compile(f, "numpy")
        compiled(x), compiled(x)
        function = exported(compiled, tmp_path, compiler)
        state, expected = function.state(compiled.state()), compiled(x)
        results = function(x, state=state) if state.dtype.names else function(x)
        np.testing.assert_allclose(results[0], getattr(expected, "data", expected), rtol=1e-10)
        if state.dtype.names:
            assert_same_state(function, state, compiled, 1e-10)
        loops.append((tmp_path / "exported.c").read_text().count("for ("))
    assert loops[1] <= loops[0]


@pytest.mark.parametrize("compiler", COMPILERS)
def test_a_model_that_others_differentiate_is_two_functions(compiler: str, tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 5, rng=0), nn.Tanh(), nn.Linear(5, 2, rng=1))
    predict = tg.compile(model, "numpy")
    predict(X)
    predict.export(tmp_path / "model.py")
    exec((tmp_path / "model.py").read_text(), scope := {})
    forward = exported(predict, tmp_path, compiler, ("-O1",), "Sequential_run")
    backward = CFunction(tmp_path / "exported.c", compiler, ("-O1",), "Sequential_backward_run")
    found, *kept = forward(X, state=forward.state(predict.state()))
    expected, *others = scope["Sequential"](X, predict.state())
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    gradients = backward(*kept, np.ones((12, 2)))
    for found, expected in zip(gradients, scope["Sequential_backward"](*others, np.ones((12, 2))), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("compiler", COMPILERS)
def test_arguments_in_another_order_numbers_and_results_of_all_kinds(compiler: str, tmp_path: Path) -> None:
    table = np.arange(12.0).reshape(3, 4)[::-1]

    def f(x: Any, rate: Any, counts: Any, flags: Any, empty: Any) -> Any:
        shown = np.where(flags, x.T * rate, table)
        return x, shown, counts * counts - 7, np.logical_not(flags), np.sum(empty), np.max(shown), x[::-1, 1:]

    arrays = (
        np.asfortranarray(RNG.normal(size=(4, 3))),
        np.array(0.5),
        np.array([-3, 2**40, 2**62], np.int64),
        RNG.random((3, 4)) < 0.5,
        np.zeros((0, 2)),
    )
    compiled = tg.compile(f, "numpy")
    expected = compiled(*arrays)
    function = exported(compiled, tmp_path, compiler)
    results = function(*arrays, state=function.state(compiled.state()))
    for found, right in zip(results, expected, strict=True):
        assert found.dtype == right.dtype
        np.testing.assert_array_equal(found, right)


@pytest.mark.parametrize("ufunc", BY_NUMPYS, ids=lambda ufunc: ufunc.__name__)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=lambda dtype: dtype.__name__)
def test_what_native_code_computes_from_bits_is_libms(ufunc: Any, dtype: Any, tmp_path: Path) -> None:
    compiled = tg.compile(lambda x: ufunc(x), "numpy")
    compiled(np.ones(3, dtype))
    compiled.export(tmp_path / "f.c", library="c")
    assert f" = {ufunc.__name__}{'f' * (dtype is np.float32)}(x[i]);" in (tmp_path / "f.c").read_text()


SPECIAL = np.array([0, -0.0, 1, -1, 0.5, 3.7, -3.7, 7, 1e-300, 1e300, np.inf, -np.inf, np.nan])
WHOLE = np.array([0, 1, -1, 5, -7, 127, -128, 2**31 - 1, -(2**31), 2**62, -(2**63)])
OF_FLOATS = [ufunc for name in FORMS if (ufunc := getattr(np, name, None)) is not None]
OF_INTEGERS = [
    *(np.add, np.subtract, np.multiply, np.square, np.negative, np.maximum, np.minimum, np.less, np.greater_equal),
    *(np.equal, np.absolute, np.sign, np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.invert, np.logical_xor),
]


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("dtype", ["f8", "f4", "i1", "i4", "i8"])
def test_ufuncs_of_special_values(dtype: str, compiler: str, tmp_path: Path) -> None:
    """As NumPy computes them, in the last digits but for float32, and with what is too large for an integer."""
    values = SPECIAL.astype(dtype) if dtype[0] == "f" else WHOLE.astype(dtype)
    ufuncs = OF_FLOATS if dtype[0] == "f" else OF_INTEGERS

    def f(a: Any, b: Any) -> Any:
        results = [ufunc(*(a, b)[: ufunc.nin]) for ufunc in ufuncs]
        return [*results, a.astype(np.int64), a.astype(np.int32)] if dtype[0] == "f" else results

    compiled, arrays = tg.compile(f, "numpy"), np.meshgrid(values, values)
    expected = compiled(*arrays)
    names = [*(ufunc.__name__ for ufunc in ufuncs), *(["int64", "int32"] if dtype[0] == "f" else [])]
    for name, found, right in zip(names, exported(compiled, tmp_path, compiler)(*arrays), expected, strict=True):
        tolerance = 0 if found.dtype.kind != "f" else 2e-6 if found.dtype.itemsize == 4 else 4e-15
        np.testing.assert_allclose(found, right, rtol=tolerance, err_msg=name)


@pytest.mark.parametrize("compiler", COMPILERS)
def test_indices_that_are_not_known(compiler: str, tmp_path: Path) -> None:
    w = tg.tensor(RNG.normal(size=(5, 3)), True, name="w")

    def f(i: Any, j: Any) -> Any:
        loss = np.sum(np.tanh(w[i])) + np.sum(w[i, 0] * w[:, j][0]) + np.sum(w[[0, -1], j] ** 2)
        loss.backward()
        x = w.detach()
        sets = x.at[j].add(3.0), x.at[j].add(x[0]), x.at[:, j].set(x[:, j] * 2)
        return loss.detach(), x[i, 1:], *sets, x[::-2, j][..., -i[1]], x[i, j], x[1, j]

    compiled = tg.compile(f, "numpy")
    arrays = np.array([[1, -2], [0, 1]], np.int8), np.array([1, 2])
    compiled(*arrays), compiled(*arrays)
    function = exported(compiled, tmp_path, compiler)
    state = function.state(compiled.state())
    for found, expected in zip(function(*arrays, state=state), compiled(*arrays), strict=True):
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-12)
    np.testing.assert_allclose(state[function.fields["w.grad"][0]], w.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize("compiler", COMPILERS)
def test_a_program_in_c_that_goes_on_training(compiler: str, tmp_path: Path) -> None:
    """As in docs/compiling.md: it reads the state from a file that NumPy wrote."""
    pair = Pair("numpy", "network", "adam")
    for _ in range(2):
        pair.compiled(X)
    pair.compiled.export(tmp_path / "step.c", library="c")
    X.tofile(tmp_path / "x.bin")
    state = pair.compiled.state()
    fields = [(name, np.asarray(value).dtype, np.shape(value)) for name, value in state.items()]
    np.array(tuple(state.values()), np.dtype(fields, align=True)).tofile(tmp_path / "state.bin")
    (tmp_path / "main.c").write_text(MAIN)
    command = [compiler, *STRICT, "main.c", "-o", "main", "-lm"]
    subprocess.run(command, cwd=tmp_path, check=True)
    made = subprocess.run(["./main"], cwd=tmp_path, check=True, capture_output=True, text=True)
    losses = [float(line) for line in made.stdout.split()]
    np.testing.assert_allclose(losses, [pair.compiled(X).item() for _ in range(24)], rtol=1e-10)


MAIN = """
#include <stdio.h>
#include "step.c"

static step_state state;
static double x[12 * 4];

static size_t fill(void *memory, size_t size, const char *path)
{
    FILE *file = fopen(path, "rb");
    size_t count = fread(memory, 1, size, file);
    fclose(file);
    return count;
}

int main(void)
{
    double loss;
    if (!fill(x, sizeof x, "x.bin") || !fill(&state, sizeof state, "state.bin"))
        return 1;
    for (int turn = 0; turn < 24; turn++) {
        step_run(x, &state, &loss);
        printf("%.17g\\n", loss);
    }
    return 0;
}
"""


@pytest.mark.parametrize(
    ("f", "said"),
    [
        (lambda x: x + RNG.normal(size=3), r"normal \(float64\) draws random numbers \(at test_c_export.py:\d+: .*RNG"),
        (lambda x: BY_BYTES(x), r"by_bytes \(float64\) has no form there \(at test_c_export.py:\d+: .*BY_BYTES\(x\)"),
        (
            lambda x: np.partition(x, 1),
            r"partition_places \(float64, int64\) has no form there \(at test_c_export.py:\d+: ",
        ),
        (lambda x: x * 1j, r"multiply \(complex128\) has no type there"),
        (lambda x: x.astype(np.float16) * 2, r"cast \(float64, float16\) has no form there"),
    ],
)
def test_what_c_cannot_do_is_refused(f: Any, said: str, tmp_path: Path) -> None:
    compiled = tg.compile(f, "numpy")
    compiled(np.full(3, 0.5))
    with pytest.raises(UsageError, match=f"cannot be exported for C: {said}"):
        compiled.export(tmp_path / "f.c", library="c")
    assert not (tmp_path / "f.c").exists()


def test_what_only_raises_errors_is_left_out(tmp_path: Path) -> None:
    def f(x: Any) -> Any:
        np.linalg.eigh(x)  # which may raise an error in NumPy, and has no form in C
        return 2 * x

    compiled = tg.compile(f, "numpy")
    compiled(np.eye(2))
    compiled.export(tmp_path / "f.c", library="c")
    assert "eig" not in (tmp_path / "f.c").read_text()


@pytest.mark.parametrize("compiler", COMPILERS)
def test_a_step_that_refuses_its_values_changes_no_state(compiler: str, tmp_path: Path) -> None:
    model = nn.Sequential(nn.Embedding(7, 4, rng=0), nn.Flatten(), nn.Linear(12, 3, rng=1))
    optimizer = optim.Adam(model.parameters(), lr=0.1)

    def step(words: Any, labels: Any) -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(words), labels)
        loss.backward()
        optimizer.step()
        return loss

    compiled = tg.compile(step, "numpy")
    words, labels = np.arange(15).reshape(5, 3) % 7, np.arange(5) % 3
    compiled(words, labels), compiled(words, labels)
    function = exported(compiled, tmp_path, compiler)
    state = function.state(dict(compiled.state()))
    for wrong in (np.full(5, 3), np.array([0, 1, 2, -1, 0])):
        before = state.copy()
        with pytest.raises(ValueError, match="refuses"):
            function(words, wrong, state=state)
        assert before.tobytes() == state.tobytes()
    for _ in range(3):
        (loss,) = function(words, labels, state=state)
        np.testing.assert_allclose(loss, compiled(words, labels).item(), rtol=1e-10)
    assert_same_state(function, state, compiled, 1e-10)


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
def test_quotients_and_remainders_of_integers(dtype: Any, compiler: str, tmp_path: Path) -> None:
    a = np.array([7, -7, 7, -7, 0, 5, np.iinfo(dtype).min, 3, 8], dtype)
    b = np.array([3, 3, -3, -3, 2, 0, -1, 1, -8], dtype)
    compiled = tg.compile(lambda a, b: (a % b, a % 4, np.remainder(a, -3), a // b, a // 4, -a // 3, 7 // b), "numpy")
    with np.errstate(all="ignore"):
        expected = compiled(a, b)
    for found, right in zip(exported(compiled, tmp_path, compiler)(a, b), expected, strict=True):
        assert found.dtype == right.dtype
        np.testing.assert_array_equal(found, right)


def test_values_without_a_type_in_c_are_refused(tmp_path: Path) -> None:
    compiled = tg.compile(lambda x, y: (x, y), "numpy")
    compiled(np.ones(3), np.ones(3, complex))
    with pytest.raises(UsageError, match=r"y \(complex128\) has no type there"):
        compiled.export(tmp_path / "f.c", library="c")


def test_a_gradient_that_is_taken_away_is_refused(tmp_path: Path) -> None:
    w = tg.tensor(np.ones(3), True, name="w")

    def f(x: Any) -> Any:
        y = x * w.grad
        w.grad = None
        return y

    compiled = tg.compile(f, "numpy")
    w.grad = tg.tensor(np.ones(3))
    compiled(np.ones(3))
    with pytest.raises(UsageError, match=r"w.grad is read, and there is none afterwards"):
        compiled.export(tmp_path / "f.c", library="c")


@pytest.mark.slow
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=str)
@settings(max_examples=1, phases=[Phase.generate], suppress_health_check=[*HealthCheck])
@given(data=st.data())
def test_operations(op: Op, compiler: str, data: st.DataObject, tmp_path: Path) -> None:
    """Every operation with its gradients: C gives the same numbers, or the export says why it cannot."""
    compiled, x, expected = drawn(op, data)
    try:
        function = exported(compiled, tmp_path, compiler)
    except UsageError as error:
        if "cannot be exported for C" not in str(error):
            raise
        return
    for one, right in zip(function(*x, state=function.state(compiled.state())), expected, strict=True):
        scale = np.max(np.abs(right), initial=1)
        np.testing.assert_allclose(one, right, rtol=1e-8, atol=1e-9 * scale)
