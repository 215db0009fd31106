"""Files of ONNX, run in onnxruntime beside the functions that they were written from."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from benchmarks.programs import table  # noqa: F401  it fills the registry
from benchmarks.programs.contest import PROGRAMS, Contest, HessianProduct, made
from tests.marks import param
from tinygrad_lite import nn, trees
from tinygrad_lite.distributions.beta_quantile import logit_beta_cdf
from tinygrad_lite.distributions.gamma_quantile import log_gamma_cdf
from tinygrad_lite.engine.op import Op
from tinygrad_lite.engine.registry import operations
from tinygrad_lite.errors import FileError, InputError, UsageError

onnx = pytest.importorskip("onnx", reason="onnx comes with the extra `onnx`")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime comes with the extra `dev`")

from benchmarks.onnx_coverage import DIGITS, check, distance, examples_of, page, reason, reasons_on, run  # noqa: E402
from tinygrad_lite.interchange.onnx_out import written_file  # noqa: E402

PAGE = (Path(__file__).parents[2] / "docs" / "onnx_operations.md").read_text()
REASONS = reasons_on(PAGE)
OURS = [op for op in operations() if op.module.startswith("tinygrad_lite.")]


@pytest.mark.long
@pytest.mark.parametrize(
    ("op", "is_first"),
    [
        param(op, first, slow=not first or k % 12 > 0)
        for k, op in enumerate(OURS)
        for first in (True, False)
        if first or op.name not in REASONS
    ],
    ids=lambda x: x.name if isinstance(x, Op) else "first example" if x else "others",
)
@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
def test_every_operation_is_equal_with_its_gradients_or_has_the_reason_on_the_page(op: Op, is_first: bool) -> None:
    if op.name in REASONS:
        assert reason(op) == REASONS[op.name]
        return
    examples = examples_of(op)
    for example in examples[:1] if is_first else examples[1:]:
        for dtype in DIGITS:
            check(op, example, dtype)


def test_the_page_of_what_a_file_can_hold_is_what_the_command_prints() -> None:
    """What the command finds of each operation is what the test above finds."""
    assert page(REASONS) == PAGE


SPECIAL = [0.0, -0.0, 1, -1, 2, 3, -3, 0.5, -0.5, 0.3, 7.8, 1e-3, 100, -100, 700, -700, 1e30, -1e30, 1e-30]
SPECIAL += [np.inf, -np.inf, np.nan]
UFUNCS = [op for op in OURS if isinstance(op.forward, np.ufunc) and not op.forward.signature and not op.examples]
UFUNCS = [op for op in UFUNCS if op.module.endswith(("elementwise", "selection")) and op.name not in REASONS]


@pytest.mark.parametrize("dtype", DIGITS)
@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
def test_every_ufunc_is_numpys_for_special_values(dtype: str) -> None:
    numbers = np.array(SPECIAL, dtype)
    pair = [x.ravel() for x in np.meshgrid(numbers, numbers)]
    arrays = {op: [numbers] if op.arity == 1 else pair for op in UFUNCS}
    found = run(lambda x, a, b: [op(*([x] if op.arity == 1 else [a, b])) for op in UFUNCS], [numbers, *pair])
    for op, y in zip(UFUNCS, found):
        expected = op.forward(*arrays[op])
        tolerance = 1e-13 if dtype == "float64" else 2e-6
        np.testing.assert_allclose(y, expected, rtol=tolerance, atol=0, err_msg=op.name)


def session(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options)


def exported(path: Path, f: Callable[..., Any], *args: Any, **options: Any) -> Any:
    tg.export_onnx(f, *args, path=path, **options)
    return session(path)


def assert_equal(there: Any, f: Callable[..., Any], *args: Any) -> None:
    """The file's results are those of the function."""
    found = there.run(None, dict(zip([x.name for x in there.get_inputs()], args)))
    for a, b in zip(found, trees.leaves(f(*args)), strict=True):
        b = b.numpy() if isinstance(b, tg.Tensor) else np.asarray(b)
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        assert distance(a, b) <= (2e-6 if b.dtype == np.float32 else 1e-10)


class LastState(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(5, 4, batch_first=True, rng=0)
        self.head = nn.Linear(4, 2, rng=1)

    def forward(self, x: Any) -> Any:
        return self.head(self.lstm(x)[0][:, -1])


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "MLP": (lambda: nn.Sequential(nn.Linear(3, 8, rng=0), nn.GELU(), nn.Linear(8, 2, rng=1), nn.Softmax(-1)), (3,)),
    "CNN": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1, rng=0),
            nn.BatchNorm2d(3),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
            nn.Conv2d(3, 4, 2, rng=1),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(16, 2, rng=2),
        ),
        (1, 8, 8),
    ),
    "LSTM": (LastState, (4, 5)),
    "transformer": (
        lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, rng=0),
        (3, 8),
    ),
}


@pytest.mark.parametrize(
    ("name", "dtype"),
    [param(name, dtype, slow=(name, dtype) != ("MLP", "float32")) for name in MODELS for dtype in DIGITS],
)
def test_models_and_their_input_gradients_with_any_batch(name: str, dtype: str, tmp_path: Path) -> None:
    make, shape = MODELS[name]
    model = make().to(np.dtype(dtype)).eval()
    rng = np.random.default_rng(0)
    x, other, one = (rng.normal(size=(n, *shape)).astype(dtype) for n in (2, 5, 1))

    def gradient(x: Any) -> Any:
        return tg.grad(lambda x: np.sum(np.sin(model(x))[..., :1]))(x)

    for f in (model, gradient):
        there = exported(tmp_path / "model.onnx", f, x, batch_axis=0)
        assert there.get_inputs()[0].shape == ["batch", *shape]
        for batch in (x, other, one):
            assert_equal(there, f, batch)


def test_a_training_step_goes_on_as_the_function_does(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 4, rng=0), nn.Tanh(), nn.Linear(4, 2, bias=False, rng=1))
    optimizer = tg.optim.Adam(model.parameters(), lr=0.1)

    def step(x: Any, labels: Any) -> Any:
        optimizer.zero_grad()
        loss = nn.CrossEntropyLoss()(model(tg.tensor(x)), labels)
        loss.backward()
        optimizer.step()
        return loss

    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(6, 8, 3)), rng.integers(0, 2, (6, 8))
    path = tmp_path / "step.onnx"
    with pytest.raises(UsageError, match=r"first run of step creates 0\.weight\.exp_avg: run it once"):
        tg.export_onnx(step, x[0], labels[0], path=path)
    step(x[0], labels[0])
    state = tg.export_onnx(step, x[0], labels[0], path=path, batch_axis=0)
    assert {"0.weight", "0.weight.exp_avg", "steps", "lr"} < state.keys()
    there = session(path)
    names = [x.name for x in there.get_outputs()]
    assert names[0] == "output"
    for rows, classes in zip(x[1:], labels[1:]):
        rows, classes = (rows, classes) if len(state) % 2 else (rows[:5], classes[:5])
        loss, *new = there.run(None, {"x": rows, "labels": classes, **state})
        state |= {
            name.removesuffix(".new"): value for name, value in zip(names[1:], new) if not name.endswith("grad.new")
        }
        assert loss == pytest.approx(step(rows, classes).item(), rel=1e-10)
    for name, value in model.state_dict().items():
        np.testing.assert_allclose(state[name], value, rtol=1e-10)


OPTIMISERS = [
    kind
    for kind in vars(tg.optim).values()
    if isinstance(kind, type)
    and issubclass(kind, tg.optim.Optimizer)
    and kind not in (tg.optim.Optimizer, tg.optim.LBFGS)
]


@pytest.mark.long
@pytest.mark.parametrize("kind", OPTIMISERS)
def test_a_step_of_any_optimiser_goes_on_as_the_function_does(kind: Any, tmp_path: Path) -> None:
    weight = tg.tensor(np.linspace(-1, 1, 6).reshape(3, 2), requires_grad=True)
    optimizer = kind([weight], lr=0.01)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = np.mean((x @ weight - 1) ** 2)
        loss.backward()
        optimizer.step()
        return loss

    x = np.random.default_rng(0).normal(size=(4, 3))
    step(x)
    state = tg.export_onnx(step, x, path=tmp_path / "step.onnx")
    there = session(tmp_path / "step.onnx")
    names = [result.name.removesuffix(".new") for result in there.get_outputs()]
    for _ in range(6):
        new = dict(zip(names, there.run(None, {"x": x, **state})))
        state = {name: new.get(name, value) for name, value in state.items()}
        assert new["output"] == pytest.approx(step(x).item(), rel=1e-10)


def test_a_value_that_is_carried_is_an_input_and_a_result(tmp_path: Path) -> None:
    mean = np.zeros(3)

    def step(x: Any) -> Any:
        nonlocal mean
        mean = 0.5 * mean + x
        return x - mean

    for f in (step, tg.compile(step, "numpy")):
        mean, path, x = np.zeros(3), tmp_path / "step.onnx", np.arange(3.0)
        state = tg.export_onnx(f, x, path=path)
        assert not mean.any()
        for _ in range(3):
            result, state["mean"] = session(path).run(None, {"x": x, **state})
            np.testing.assert_allclose(result, step(x))
            np.testing.assert_allclose(state["mean"], mean)


def test_a_jacobian_a_hessian_times_a_vector_and_a_loss_of_a_physicist(tmp_path: Path) -> None:
    w = np.random.default_rng(0).normal(size=(3, 3))

    def f(x: Any) -> Any:
        return np.tanh(w @ x) * x

    def energy(x: Any) -> Any:
        return np.sum(f(x) ** 2)

    functions: list[Callable[..., Any]] = [
        lambda x, v: tg.jacobian(f)(x * v),
        lambda x, v: tg.hvp(energy, (x,), (v,)),
        lambda x, v: np.sum(tg.grad(lambda x: np.sum(tg.grad(energy)(x) ** 2))(x * v) ** 2),
        lambda x, v: tg.jvp(f, (x,), (v,)),
    ]
    args = np.array([0.3, -0.2, 0.7]), np.array([1.0, 2.0, -1.0])
    for function in functions:
        assert_equal(exported(tmp_path / "f.onnx", function, *args), function, *args)


QUICK = {
    "bundle_adjustment",
    "cnn",
    "k_means",
    "matrix_factorisation",
    "message_passing",
    "physics_informed",
    "polynomial",
}
OF_ARRAYS = [name for name in PROGRAMS if type(made(name)) in (Contest, HessianProduct)]
OF_ARRAYS.remove("lstm_language_model")  # of whose 120,000 operators onnxruntime makes a session in a minute


@pytest.mark.long
@pytest.mark.parametrize("name", [param(name, slow=name not in QUICK) for name in OF_ARRAYS])
def test_programs_that_people_write_with_their_gradients(name: str, tmp_path: Path) -> None:
    contest = made(name)

    def step(parameters: Any, *data: Any) -> Any:
        if isinstance(contest, HessianProduct):
            gradient = tg.grad(lambda parameters: contest.in_numpy(parameters, *data))
            return tg.jvp(gradient, (parameters,), (contest.vector,))
        return tg.value_and_grad(contest.in_numpy)(parameters, *data)

    args = contest.parameters, *contest.data
    there = exported(tmp_path / "program.onnx", step, *args)
    arrays = [x for x in trees.leaves(args) if isinstance(x, np.ndarray)]
    found = there.run(None, dict(zip([x.name for x in there.get_inputs()], arrays)))
    for a, b in zip(found, trees.leaves(step(*args)), strict=True):
        assert distance(a, np.asarray(b)) <= (2e-5 if contest.dtype == np.float32 else 1e-10)


def test_the_meaning_is_that_of_onnx_itself(tmp_path: Path) -> None:
    """In the evaluator that onnx has beside its definitions."""
    from onnx.reference import ReferenceEvaluator

    model = nn.Sequential(nn.Linear(3, 4, rng=0), nn.Sigmoid(), nn.LayerNorm(4), nn.Linear(4, 1, rng=1))

    def gradient(x: Any) -> Any:
        return tg.grad(lambda x: np.sum(model(x) ** 2))(x)

    x = np.random.default_rng(0).normal(size=(4, 3))
    tg.export_onnx(gradient, x, path=tmp_path / "f.onnx", batch_axis=0)
    (found,) = ReferenceEvaluator(str(tmp_path / "f.onnx")).run(None, {"x": x[:3]})
    np.testing.assert_allclose(found, gradient(x[:3]).numpy(), rtol=1e-10)


def test_an_exported_model_is_imported_again(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 4, rng=0), nn.GELU(), nn.LayerNorm(4), nn.Linear(4, 1, rng=1))
    x = np.random.default_rng(0).normal(size=(4, 3))
    tg.export_onnx(model, x, path=tmp_path / "model.onnx", batch_axis=0)
    again = tg.from_onnx(tmp_path / "model.onnx")
    for a, b in zip(
        (again(x), tg.grad(lambda x: np.sum(again(x)))(x)), (model(x), tg.grad(lambda x: np.sum(model(x)))(x))
    ):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-12)


def test_names_of_inputs_results_and_parameters(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(2, 3, rng=0), nn.BatchNorm1d(3)).eval()
    path, x = tmp_path / "model.onnx", np.ones((2, 2))
    tg.export_onnx(lambda data: {"loc": model(data["x"]), "parts": (data["y"], 2)}, {"x": x, "y": x}, path=path)
    graph = onnx.load(path).graph
    assert [x.name for x in graph.input] == ["data_x", "data_y"]
    assert [x.name for x in graph.output] == ["output.loc", "output.parts.0", "output.parts.1"]
    assert {"0.weight", "0.bias", "1.running_mean", "1.running_var"} <= {x.name for x in graph.initializer}
    tg.export_onnx(model, x, path=path, input_names=["rows"], output_names=["scores"], batch_axis=0)
    graph = onnx.load(path).graph
    assert [x.name for x in (*graph.input, *graph.output)] == ["rows", "scores"]
    for names in ({"input_names": []}, {"output_names": ["a", "b"]}):
        with pytest.raises(InputError, match="the function has 1"):
            tg.export_onnx(model, x, path=path, **names)  # type: ignore[arg-type]


BATCHES: dict[str, Callable[..., Any]] = {
    "means": lambda x: np.mean(x - np.mean(x, axis=0), axis=1),
    "variances": lambda x: np.var(x, axis=0, ddof=1),
    "gradients of variances": tg.grad(lambda x: np.sum(np.std(x, axis=0, ddof=1))),
    "rows of their own": lambda x: x[np.arange(len(x)), np.arange(len(x)) % 1],
    "all but the last": lambda x: np.concatenate([x[:-1] * 2, x[-1:], x[::-1]]),
    "one row": lambda x: x[-1] + x[0],
    "a flat view": lambda x: np.ravel(x * 2)[: 3 * len(x) - 1],
    "ones": lambda x: np.ones_like(x) @ x.T,
    "at least three": lambda x: np.lib.stride_tricks.sliding_window_view(x, 3, axis=0),
    "windows": lambda x: np.lib.stride_tricks.sliding_window_view(x, 2, axis=0),
    "running sums": lambda x: np.cumsum(x, axis=0),
    "sorted": lambda x: np.sort(x, axis=0)[: len(x) // 1],
    "padded": lambda x: np.pad(x, ((1, 2), (0, 1))),
    "every second": lambda x: np.stack([x, x])[:, ::2],
    "over pairs": lambda x: (np.sum(x @ x.T) - len(x)) / (len(x) * (len(x) + 2)),
    "over squares": lambda x: np.sum(x) / len(x) ** 2,
    "over a root": lambda x: np.sum(x, axis=0) / np.sqrt(len(x)),
    "near 1": lambda x: np.sum(x) * (1000 * len(x) / (1000 * len(x) - 1)),
    "an identity": lambda x: x @ x.T + 0.1 * np.eye(len(x)),
    "off the diagonal": lambda x: np.sum(x @ x.T * (1 - np.eye(len(x)))),
    "those before": lambda x: nn.functional.softmax(np.where(np.tri(len(x), dtype=bool), x @ x.T, -np.inf)) @ x,
    "above a diagonal": lambda x: np.triu(x @ x.T, k=1),
    "beyond small sizes": lambda x: np.eye(len(x), k=10) @ x + np.triu(x @ x.T, k=-12)[:, :1] + x[-20:].sum(axis=0),
    "the third row": lambda x: x - x[[2, 0]].sum(axis=0),
    "over parts of rows": lambda x: np.sum(x) * ((len(x) + 0.1) / (3 * len(x) - 0.7)) * (np.e * (1 - 2 / (len(x) + 1))),
    "huge and tiny numbers": lambda x: x * (1e200 * len(x)) * (1e-200 / (len(x) + 1)),
    "over rows": lambda x: (len(x) - 1.0) / (3 + x),
    "far from 1 or next to it": lambda x: x * (1 + 1e-9 * (len(x) - 2)) / (1 + 1e-9 * (len(x) - 3)),
    "far from 0 or next to it": lambda x: np.exp(x - 200) + 1e-90 * (len(x) - 2) - 1e-90 * (len(x) - 3),
}


@pytest.mark.long
@pytest.mark.parametrize("name", BATCHES)
def test_what_depends_on_the_size_of_a_batch_is_computed(name: str, tmp_path: Path) -> None:
    f, x = BATCHES[name], np.random.default_rng(0).normal(size=(40, 3))
    there = exported(tmp_path / "f.onnx", f, x[:4], batch_axis=0)
    for rows in (3, 4, 9, 40) if name in ("at least three", "the third row") else (2, 3, 9, 40):
        assert_equal(there, f, x[:rows])


CURVES: dict[str, Callable[[int], float]] = {
    "log n": np.log,
    "log (1 + n)": np.log1p,
    "exp (1 - 1 / n)": lambda n: float(np.exp(1 - 1 / n)),
    "tanh": lambda n: float(np.tanh(n / 8)),
    "a power": lambda n: float(n**0.3),
    "a decay": lambda n: 0.9**n,
    "a slow decay": lambda n: 0.999**n,
    "what a slow decay leaves": lambda n: 1 - 0.999**n,
}


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        (name, dtype)
        for name in CURVES
        for dtype in ("float16", "float32", "float64")
        if not ("slow" in name and dtype == "float16")  # in which it is a straight line
    ],
)
def test_curves_that_are_no_quotients_are_refused_or_right_far_away(name: str, dtype: str, tmp_path: Path) -> None:
    def f(x: Any) -> Any:
        return x * np.asarray(CURVES[name](len(x)), dtype)

    try:
        there = exported(tmp_path / "f.onnx", f, np.ones((4, 1), dtype), batch_axis=0)
    except UsageError:
        return
    x = np.ones((200, 1), dtype)
    (found,) = there.run(None, {"x": x})
    np.testing.assert_allclose(found, f(x), rtol=8 * float(np.finfo(dtype).eps))


def test_inputs_are_in_the_order_of_the_arguments_and_models_apart(tmp_path: Path) -> None:
    one, two = nn.Linear(2, 2, rng=0), nn.Linear(2, 2, rng=1)
    optimizer = tg.optim.SGD([*one.parameters(), *two.parameters()], lr=0.5)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        np.sum((one(y) - two(x)) ** 2).backward()
        optimizer.step()
        return one.weight

    args = tg.tensor(np.ones((1, 2))), tg.tensor(np.zeros((1, 2)))
    state = tg.export_onnx(step, *args, path=tmp_path / "f.onnx", input_names=["a", "b"])
    there = session(tmp_path / "f.onnx")
    assert [x.name for x in there.get_inputs()][:2] == ["a", "b"]
    new = dict(
        zip(
            [x.name for x in there.get_outputs()],
            there.run(None, {"a": args[0].numpy(), "b": args[1].numpy(), **state}),
        )
    )
    step(*args)
    assert {name for name in state if "weight" in name} == {"weight", "weight_2"}
    np.testing.assert_allclose(new["output"], one.weight.numpy())
    for model in (one, two):
        assert any(np.allclose(new[f"{name}.new"], model.weight.numpy()) for name in ("weight", "weight_2"))


def test_a_tensor_that_is_passed_twice_or_not_read_is_an_input_each_time(tmp_path: Path) -> None:
    x = tg.tensor(np.ones(2))
    there = exported(tmp_path / "f.onnx", lambda a, b, c: a - b + x, x, x, x)
    assert [x.name for x in there.get_inputs()] == ["a", "b", "c"]
    (y,) = there.run(None, {"a": np.full(2, 5.0), "b": np.full(2, 3.0), "c": np.zeros(2)})
    np.testing.assert_array_equal(y, [3.0, 3.0])


class Turned(nn.Module):
    """Pairs of entries as complex numbers, turned by angles that are kept as complex numbers, as LLaMA has them."""

    def __init__(self, dtype: Any) -> None:
        self.register_buffer("turns", np.exp(1j * np.arange(8)).astype(dtype), persistent=False)

    def forward(self, x: Any) -> Any:
        z = x.reshape(len(x), -1, 2)
        z = (z[..., 0] + np.complex64(1j) * z[..., 1]) * self.turns[: z.shape[1]]
        return np.stack([z.real, z.imag], -1).reshape(x.shape)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_arrays_that_stay_the_same_are_pairs_of_real_ones(dtype: str, tmp_path: Path) -> None:
    model, x = Turned(dtype), np.random.default_rng(0).normal(size=(3, 6)).astype(np.finfo(dtype).dtype)
    there = exported(tmp_path / "f.onnx", model, x, batch_axis=0)
    for rows in (x, x[:2]):
        (y,) = there.run(None, {"x": rows})
        assert y.dtype == x.dtype
        assert distance(y, model(rows)) <= (1e-6 if dtype == "complex64" else 1e-14)


def test_what_is_too_large_for_a_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(written_file, "LARGEST", 1_000)
    with pytest.raises(UsageError, match="the parameters of Linear take"):
        tg.export_onnx(nn.Linear(20, 20, rng=0), np.ones((1, 20)), path=tmp_path / "f.onnx")
    assert not list(tmp_path.iterdir())


def matrices() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    wide, turn = rng.normal(size=(4, 9)), np.linalg.qr(rng.normal(size=(5, 5)))[0]
    places = np.arange(6)
    return {
        "wide": wide,
        "of rank 4": wide.T @ wide,
        "a rotation": turn,
        "with values twice": turn * np.array([3.0, 3.0, 1.0, 1e-3, 1e-3]) @ turn.T,
        "of Hilbert": 1 / (1 + places[:, None] + places),
        "of small and large columns": rng.normal(size=(6, 5)) * 10.0 ** np.arange(-8, 7, 3),
        "zeros": np.zeros((3, 2)),
        "symmetric": wide[:, :4] + wide[:, :4].T,
    }


@pytest.mark.parametrize("name", [param(name, slow=name != "symmetric") for name in matrices()])
def test_singular_values_and_eigenvalues_of_any_matrix(name: str) -> None:
    x = matrices()[name]
    (found,) = run(np.linalg.svdvals, [x])
    expected = np.linalg.svdvals(x)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14 * expected[0])
    if x.shape[0] == x.shape[1]:
        np.testing.assert_allclose(run(np.linalg.eigvalsh, [x])[0], np.linalg.eigvalsh(x), atol=1e-13 * expected[0])
        w, v = run(lambda x: tuple(np.linalg.eigh(x)), [x + x.T])
        np.testing.assert_allclose(v * w @ v.T, x + x.T, atol=1e-13 * max(expected[0], 1))
        np.testing.assert_allclose(v.T @ v, np.eye(len(v)), atol=1e-13)


@pytest.mark.long
@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda x: sum(np.sum(x[i]) * i for i in range(len(x))), "does different operations for a different size"),
        (lambda x: x.T @ np.cos(np.arange(len(x))), "in a way of their own"),
        (lambda x: np.sum(x) * len(x) ** 3.5, "in a way of their own"),
        (lambda x: np.sum(x) * max(len(x), 3), "in a way of their own"),
        (lambda x: np.sum(x) * (1.0 if len(x) > 2 else np.inf), "in a way of their own"),
        (lambda x: np.where(np.array(len(x) > 3), x, -x), "in a way of their own"),
        (lambda x: np.sum(x) * (1e-200 * np.sqrt(len(x))), "in a way of their own"),
        (lambda x: np.concatenate([x[i : i + 9] for i in range(0, len(x), 9)]), "does other operations"),
        (lambda x: x[2] * (1.0 + len(x) % 2), "in a way of their own"),
        (lambda x: x[:20] + 1, "in a way of their own"),
        (lambda x: x[:, 0] * (np.arange(len(x)) < 8), "in a way of their own"),
        (lambda x: np.abs(np.arange(len(x))[:, None] - np.arange(len(x))) @ x, "in a way of their own"),
    ],
)
def test_what_one_graph_cannot_do_for_every_size_is_refused(f: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        tg.export_onnx(f, np.ones((4, 3)), path=tmp_path / "f.onnx", batch_axis=0)
    assert "export a file for each size" in str(raised.value)
    assert "test_onnx_out.py" in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_a_table_may_have_fewer_rows_than_the_largest_size_that_is_tried(tmp_path: Path) -> None:
    def f(x: Any) -> Any:
        return x + np.arange(33.0).reshape(11, 3)[: len(x)]

    x = np.ones((11, 3))
    assert_equal(exported(tmp_path / "f.onnx", f, x[:4], batch_axis=0), f, x)


def test_a_size_that_the_function_refuses_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"does not take 5 rows along the batch axis \(.*equal division") as raised:
        tg.export_onnx(lambda x: np.split(x, 2), np.ones((4, 3)), path=tmp_path / "f.onnx", batch_axis=0)
    assert "export a file for each size" in str(raised.value)
    with pytest.raises(UsageError, match=r"does not take 5 rows along the batch axis \(5\)"):
        tg.export_onnx(
            lambda x: x * {2: 1.0, 3: 2.0, 4: 3.0}[len(x)], np.ones((4, 3)), path=tmp_path / "f", batch_axis=0
        )


def test_steps_whose_parameters_get_names_while_they_are_recorded_serve_every_size(tmp_path: Path) -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, rng=0), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(300, 2, rng=0)
    )
    first, last = (list(layer.parameters()) for layer in (model[0], model[4]))
    optimizer = tg.optim.Adam([{"params": first, "lr": 0.1}, {"params": last}], lr=0.01)

    def step(x: Any, labels: Any) -> Any:
        optimizer.zero_grad()
        loss = nn.CrossEntropyLoss()(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(6, 1, 12, 12)), rng.integers(0, 2, 6)
    step(x, labels)
    state = tg.export_onnx(step, x, labels, path=tmp_path / "step.onnx", batch_axis=0)
    there = session(tmp_path / "step.onnx")
    names = [x.name for x in there.get_outputs()]
    for rows in (x[:4], x[:2], x):
        loss, *new = there.run(None, {"x": rows, "labels": labels[: len(rows)], **state})
        after = {name.removesuffix(".new"): value for name, value in zip(names[1:], new)}
        state = {name: after.get(name, value) for name, value in state.items()}
        assert loss == pytest.approx(step(rows, labels[: len(rows)]).item(), rel=1e-9)
    for name, value in model.state_dict().items():
        np.testing.assert_allclose(state.get(name, value), value, rtol=1e-8, atol=1e-10)


def test_the_same_entry_gets_thousands_of_gradients(tmp_path: Path) -> None:
    places = np.random.default_rng(0).integers(0, 3, 50_000)

    def gradient(x: Any, g: Any) -> Any:
        return tg.vjp(lambda x: x[places], x)[1](g)[0]

    x, g = np.ones(3), np.random.default_rng(1).random(50_000)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 4
    tg.export_onnx(gradient, x, g, path=tmp_path / "f.onnx")
    there = onnxruntime.InferenceSession(tmp_path / "f.onnx", options)
    for _ in range(5):
        assert_equal(there, gradient, x, g)


INDICES = [
    (np.array([0, 2]), ..., np.array([1, 0])),
    (np.array([0, 2]), slice(None), np.array([1, 0])),
    (None, np.array([0, 1]), None, slice(None, None, -1), 1),
    (slice(2, None, -2), None, np.array([[0, 1], [1, 2]])),
    (slice(0, 0), 1),
    (np.array([], int),),
    (0, np.array([True, False, True]), slice(1, 3)),
    (..., -1, None),
]


@pytest.mark.parametrize("index", [param(index, slow=i % 3 > 0) for i, index in enumerate(INDICES)], ids=repr)
def test_indices_read_and_get_gradients(index: Any) -> None:
    x = np.arange(36.0).reshape(3, 3, 4)
    g = np.cos(np.arange(x[index].size)).reshape(x[index].shape)

    def f(x: Any, g: Any) -> Any:
        t = tg.tensor(x)
        added = [t.at[index].add(y) for y in (g, x[:1, :1, :1])]  # of the shape that is read, and stretched to it
        return [x[index], tg.vjp(lambda x: x[index], x)[1](g)[0], t.at[index].set(g), *added]

    for a, b in zip(run(f, [x, g]), f(x, g)):
        np.testing.assert_allclose(a, b, rtol=1e-14)


@pytest.mark.parametrize(
    ("axis", "message"),
    [
        ("rows", "batch_axis must be a whole number or None for each example, got 'rows'"),
        (0.0, "batch_axis must be a whole number"),
        (2, "no rows along axis 2"),
        (-3, "no rows along axis -3"),
    ],
)
def test_axes_that_no_batch_has(axis: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises((InputError, UsageError), match=message):
        tg.export_onnx(np.tanh, np.ones((3, 2)), path=tmp_path / "f.onnx", batch_axis=axis)
    assert not list(tmp_path.iterdir())


def test_what_is_refused_here_is_nan_there(tmp_path: Path) -> None:
    def log_det(x: Any) -> Any:
        return tg.grad(lambda x: np.linalg.slogdet(x)[1])(x)

    x = np.array([[2.0, 1.0], [0.5, 3.0]])
    there = exported(tmp_path / "f.onnx", log_det, x)
    assert_equal(there, log_det, x)
    assert np.isnan(there.run(None, {"x": np.ones((2, 2))})[0]).all()


def test_what_onnx_lacks_is_named_and_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "f.onnx"
    path.write_bytes(b"what was there")
    dropout = nn.Sequential(nn.Linear(2, 2, rng=0), nn.Dropout(rng=0))
    cases: list[tuple[Any, tuple[Any, ...], str]] = [
        (lambda x: np.argpartition(x, 1) * 2, (np.ones(3),), r"argpartition .* at test_onnx_out\.py:\d+: .*np\.arg"),
        (dropout, (np.ones((1, 2)),), r"it draws random numbers from a NumPy generator: .*model\.eval\(\)"),
        (lambda x: x * 1j, (np.ones(2),), "no numbers of dtype complex128"),
        (lambda x: x if np.sum(x) > 0 else -x, (np.ones(2),), "needs a value while it is recorded"),
        (np.ones(2), (np.ones(2),), "takes a function or a model, got ndarray"),
        (SimpleNamespace(module_=dropout), (np.ones(2),), "got SimpleNamespace: pass its module_"),
        (lambda x: None, (np.ones(2),), "would have no results"),
        (lambda x: x * 2, (3.0,), "would have no inputs"),
    ]
    for f, args, message in cases:
        with pytest.raises(UsageError, match=message):
            tg.export_onnx(f, *args, path=path)
    for axes, message in (((0, 0), "1 examples, got 2 axes"), ((None,), "no example has an axis"), (3, r"axis 3")):
        with pytest.raises(InputError, match=message):
            tg.export_onnx(np.sin, np.ones((2, 2)), path=path, batch_axis=axes)
    with pytest.raises(FileError, match="cannot write"):
        tg.export_onnx(np.sin, np.ones(2), path=tmp_path / "none" / "f.onnx")
    assert path.read_bytes() == b"what was there"
    assert list(tmp_path.iterdir()) == [path]


def test_a_users_operation_is_made_of_what_its_forward_computes(tmp_path: Path) -> None:
    swish = tg.elementwise(
        lambda x, beta: x / (1 + np.exp(-beta * x)),
        lambda y, x, beta: y / x * (1 + beta * (x - y)),
        lambda y, x, beta: y * (x - y),
        name="test_swish",
    )

    def f(x: Any) -> Any:
        return swish(x, 2.0), tg.grad(lambda x: np.sum(swish(x, 2.0)))(x)

    x = np.array([0.5, -1.0, 2.0])
    assert_equal(exported(tmp_path / "f.onnx", f, x), f, x)


@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
@pytest.mark.parametrize("a", [1e-3, 2.5])
def test_distribution_functions_go_as_far_out_as_here(a: float) -> None:
    """Also where e to the power of y is 0, or too large for a number."""
    y = np.array([-np.inf, -800.0, -750.0, -3.0, 0.0, 5.0, 720.0, np.inf])
    for f in (lambda y: log_gamma_cdf(a, y), lambda y: logit_beta_cdf(a, 2 * a, y)):
        expected = f(y)
        assert not np.any(np.isnan(expected))
        np.testing.assert_allclose(run(f, [y])[0], expected, rtol=1e-12)
