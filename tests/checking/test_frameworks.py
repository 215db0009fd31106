"""The gradient checker on functions and modules of PyTorch and JAX, with their own arrays and parameters."""

import copy
import warnings
from functools import partial
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite.checking import Report, Verdict
from tinygrad_lite.errors import InputError, UsageError

pytestmark = pytest.mark.compare
torch = pytest.importorskip("torch", reason="PyTorch comes with the extra `compare`")
jax = pytest.importorskip("jax", reason="JAX comes with the extra `compare`")
from tinygrad_lite.checking.subjects.frameworks.torch import TorchProgram  # noqa: E402

jnp = jax.numpy
nn, F = torch.nn, torch.nn.functional


def check(f: Any, *inputs: Any, **options: Any) -> Report:
    return tg.gradcheck(f, *inputs, raise_exception=False, **options)


def paths(report: Report) -> list[str]:
    return [checked.path for checked in report]


def wrong(report: Report) -> set[str]:
    return {finding.path for finding in report.findings if finding.fails}


def drawn(*shape: int, dtype: Any = torch.float32) -> Any:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


def network(*between: Any) -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), *between, nn.Linear(3, 1))


_MODULE = nn.Sequential(nn.Linear(4, 1))


class Cube(torch.autograd.Function):
    """With 2 in its rule where there should be a 3."""

    @staticmethod
    def forward(context: Any, x: Any) -> Any:
        context.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(context: Any, g: Any) -> Any:
        (x,) = context.saved_tensors
        return 2 * g * x**2


class TestModules:
    def test_parameters_are_named(self) -> None:
        report = check(network(nn.Tanh()), drawn(5, 4))
        assert report.ok, str(report)
        assert paths(report) == ["input", "0.weight", "0.bias", "2.weight", "2.bias"]
        assert set(report.counts()) == {Verdict.RIGHT}

    @pytest.mark.parametrize("order", [1, 2])
    def test_a_hook_that_changes_a_gradient_is_seen(self, order: Any) -> None:
        model, x = network(nn.Tanh()), drawn(5, 4).requires_grad_()
        seen: list[Any] = []
        model[2].weight.register_hook(seen.append)
        assert check(model, x, order=order).ok
        assert seen  # a hook that only looks
        for variable, name in ((model[0].bias, "0.bias"), (x, "input")):
            handle = variable.register_hook(lambda g: 2 * g)
            assert name in wrong(check(model, x, order=order))
            handle.remove()

    def test_a_parameter_without_a_shape(self) -> None:
        with pytest.raises(UsageError, match=r"the parameter 0\.weight has no shape yet: call the module once"):
            tg.gradcheck(nn.Sequential(nn.LazyLinear(3)), drawn(5, 4))

    def test_sparse_gradients(self) -> None:
        assert check(nn.Embedding(5, 3, sparse=True), torch.tensor([0, 4, 4])).ok

    def test_among_the_arguments(self) -> None:
        def loss(model: Any, batch: Any) -> Any:
            return F.mse_loss(model(batch["x"]), batch["y"])

        report = check(loss, network(nn.ReLU()), {"x": drawn(5, 4), "y": drawn(5, 1)}, wrt="model")
        assert report.ok, str(report)
        assert paths(report) == ["model.0.weight", "model.0.bias", "model.2.weight", "model.2.bias"]

    def test_a_layer_with_a_wrong_rule(self) -> None:
        class Layer(nn.Module):  # type: ignore[misc, name-defined]
            def forward(self, x: Any) -> Any:
                return Cube.apply(x)

        assert wrong(check(network(Layer()), drawn(2, 4))) == {"input", "0.weight", "0.bias"}

    def test_nothing_changes(self) -> None:
        model = network(nn.BatchNorm1d(3), nn.ReLU(inplace=True)).train()
        x = drawn(6, 4).requires_grad_()
        model(x).sum().backward()
        before = copy.deepcopy((model.state_dict(), [p.grad for p in model.parameters()], x.grad))
        parameters = list(model.parameters())
        random_state = torch.get_rng_state()
        assert not wrong(check(model, x))
        after = (model.state_dict(), [p.grad for p in model.parameters()], x.grad)
        torch.testing.assert_close(after, before, rtol=0, atol=0)
        assert all(a is b for a, b in zip(parameters, model.parameters()))
        assert model.training
        assert torch.equal(random_state, torch.get_rng_state())
        assert torch.get_default_dtype() is torch.float32

    def test_dropout_is_not_deterministic(self) -> None:
        random_state = torch.get_rng_state()
        report = check(network(nn.Dropout(0.5)), drawn(5, 4))
        assert not report.ok
        assert Verdict.NOT_DETERMINISTIC in report.counts()
        assert torch.equal(random_state, torch.get_rng_state())
        assert check(network(nn.Dropout(0.5)).eval(), drawn(5, 4)).ok

    def test_frozen_and_tied_parameters(self) -> None:
        model = network(nn.Tanh(), nn.Linear(3, 3), nn.Linear(3, 3))
        model[2].weight = model[3].weight
        model[0].requires_grad_(False)
        report = check(model, drawn(2, 4))
        assert report.ok, str(report)
        assert paths(report) == ["input", "2.weight", "2.bias", "3.bias", "4.weight", "4.bias"]

    @pytest.mark.parametrize(
        "layer",
        [lambda: nn.LSTM(4, 3), lambda: nn.GRU(4, 2, bidirectional=True)],
        ids=["LSTM", "GRU"],
    )
    def test_recurrent_ones(self, layer: Any) -> None:
        torch.manual_seed(0)
        report = check(lambda module, x: module(x)[0], layer(), drawn(3, 1, 4))
        assert not wrong(report), str(report)
        assert "module.weight_ih_l0" in paths(report)

    def test_parametrizations(self) -> None:
        model = network(nn.Tanh())
        nn.utils.parametrizations.weight_norm(model[0])
        report = check(model, drawn(2, 4))
        assert report.ok, str(report)
        assert "0.parametrizations.weight.original0" in paths(report)

    def test_one_that_cannot_be_copied(self) -> None:
        model = network(nn.Tanh())
        model[0].cache = model[0].weight * 2  # the result of a computation, of which PyTorch makes no deep copy
        before = dict(model.named_parameters())
        assert check(model, drawn(2, 4)).ok
        assert dict(model.named_parameters()).keys() == before.keys()
        assert all(x is before[name] for name, x in model.named_parameters())


class TestFunctionsOfTensors:
    def test_in_double_and_in_single_precision(self) -> None:
        for dtype in (torch.float64, torch.float32):
            assert check(lambda x: F.softplus(x) * x, drawn(7, dtype=dtype)).ok
            assert not check(lambda x: Cube.apply(x).sum(), drawn(7, dtype=dtype)).ok

    def test_bfloat16_is_held_to_its_own_precision(self) -> None:
        x = drawn(7, dtype=torch.bfloat16)
        assert check(lambda x: (torch.sin(x) * x).sum(), x).ok
        assert not check(lambda x: Cube.apply(x).sum(), x).ok

    def test_containers_numbers_and_labels(self) -> None:
        def f(p: Any, labels: Any, scale: float) -> Any:
            return F.cross_entropy(p["x"] @ p["w"], labels) * scale, {"norm": p["w"].norm()}

        p = {"x": drawn(5, 4), "w": drawn(4, 3)}
        report = check(f, p, torch.tensor([0, 1, 2, 1, 0]), 2.0)
        assert report.ok, str(report)
        assert paths(report) == ["p.x", "p.w"]

    def test_what_requires_a_gradient_if_anything_does(self) -> None:
        report = check(F.mse_loss, drawn(3).requires_grad_(), drawn(3) + 1)
        assert report.ok
        assert paths(report) == ["input"]
        assert "target does not require a gradient: held fixed" in report.remarks

    def test_a_function_that_writes_into_its_argument(self) -> None:
        x = drawn(3)
        before = x.clone()
        assert check(lambda x: x.mul_(2).sin_().sum(), x).ok
        assert torch.equal(x, before)

    def test_what_is_detached(self) -> None:
        report = check(lambda x: (x * x.detach()).sum(), drawn(3, dtype=torch.float64))
        assert wrong(report) == {"x"}
        assert not check(lambda x: (x**2).detach().sum(), drawn(3, dtype=torch.float64)).ok

    def test_what_is_returned_only_to_be_looked_at(self) -> None:
        report = check(lambda x: ((x**3).sum(), {"norm": x.norm().detach()}), drawn(3))
        assert report.ok, str(report)
        assert report["x"].gradient.shape == (1, 3)
        assert "result 1 does not require a gradient: left out" in report.remarks

    def test_a_function_that_differentiates(self) -> None:
        def residual(model: Any, x: Any) -> Any:
            x = x.requires_grad_()
            (slope,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
            return (slope**2).mean()

        model = nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1))
        report = check(residual, model, drawn(3, 1))
        assert not wrong(report), str(report)
        assert Verdict.RIGHT in report.counts()

    def test_a_function_that_raises_outside_its_domain(self) -> None:
        def f(a: Any) -> Any:
            return torch.linalg.cholesky(a @ a.T + (a.sum() - 1) * torch.eye(2)).diagonal().log().sum()

        assert not wrong(check(f, torch.tensor([[1.0, 0.2], [0.3, -0.5]])))

    def test_a_size_among_the_arguments(self) -> None:
        assert check(torch.reshape, drawn(6), torch.Size([2, 3])).ok

    def test_modules_that_a_function_reads_from_outside(self) -> None:
        model = network(nn.BatchNorm1d(3), nn.Tanh())
        weights = {"rows": drawn(5, 1)}
        before = copy.deepcopy(model.state_dict())
        for f in (
            lambda x: (model(x) * weights["rows"]).sum(),
            lambda x: _MODULE(x).sin().sum(),
            _MODULE.forward,
            lambda x, model=model: model(x).sum(),
            lambda x, *, models=(model,): models[0](x).sum(),
            partial(lambda model, x: model(x).sum(), model),
        ):
            report = check(f, drawn(5, 4))
            assert not wrong(report), str(report)
            assert not report.remarks
        assert check(lambda x: _MODULE(x).sum(), drawn(5, 4), gradient=lambda x: _MODULE[0].weight.expand(5, 4)).ok
        torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
        assert _MODULE[0].weight.dtype is torch.float32

    def test_what_takes_no_float64(self) -> None:
        report = check(lambda x: (x @ torch.ones(4, dtype=torch.float32)).sum(), drawn(2, 4))
        assert not wrong(report), str(report)
        assert "does not run in float64" in str(report)

    def test_random_numbers_that_depend_on_the_dtype(self) -> None:
        def f(x: Any) -> Any:
            return (x * torch.randn(4, generator=torch.Generator().manual_seed(3))).sum()

        report = check(f, drawn(4))
        assert not wrong(report), str(report)

    def test_second_order_and_forward_mode(self) -> None:
        x = drawn(3, dtype=torch.float64)
        report = check(lambda x, y: (x**3 * y.sin()).sum(), x, x + 1, order=2)
        assert report.ok, str(report)
        assert str(report).startswith("gradcheck of the gradient of <lambda>: passed (36 right")
        assert check(network(nn.Tanh()), drawn(2, 4), order=2).ok
        assert check(network(nn.Tanh()), drawn(2, 4), method="forward").ok

    def test_a_wrong_forward_mode(self) -> None:
        class Cubed(torch.autograd.Function):
            @staticmethod
            def forward(x: Any) -> Any:
                return x**3

            @staticmethod
            def setup_context(context: Any, inputs: Any, output: Any) -> None:
                context.save_for_backward(*inputs)
                context.save_for_forward(*inputs)

            @staticmethod
            def backward(context: Any, g: Any) -> Any:
                return 3 * g * context.saved_tensors[0] ** 2

            @staticmethod
            def jvp(context: Any, t: Any) -> Any:
                return 2 * t * context.saved_tensors[0] ** 2

        report = check(lambda x, y: Cubed.apply(x).sum() + y.sum(), drawn(3), drawn(2))
        assert wrong(report) == {"x"}
        assert "forward mode differs from reverse mode" in str(report)

    def test_a_rule_that_leaves_out_the_upstream_gradient(self) -> None:
        class Energy(torch.autograd.Function):
            @staticmethod
            def forward(context: Any, x: Any) -> Any:
                context.save_for_backward(x)
                return (x**2).sum()

            @staticmethod
            def backward(context: Any, g: Any) -> Any:
                return 2 * context.saved_tensors[0]

        report = check(Energy.apply, drawn(3, dtype=torch.float64))
        assert len(wrong(report)) == 1
        assert "not linear in the upstream gradient" in str(report)

    def test_a_rule_that_is_wrong_in_single_precision_alone(self) -> None:
        class Cubed(torch.autograd.Function):
            @staticmethod
            def forward(context: Any, x: Any) -> Any:
                context.save_for_backward(x)
                return x**3

            @staticmethod
            def backward(context: Any, g: Any) -> Any:
                (x,) = context.saved_tensors
                return (3 if x.dtype is torch.float64 else 2) * g * x**2

        report = check(lambda x, y: Cubed.apply(x) * y.sum(), drawn(3), drawn(2))
        assert wrong(report) == {"x"}
        assert "in the precision of the arguments, it differs" in str(report)

    def test_a_wrong_second_derivative(self) -> None:
        class Square(torch.autograd.Function):
            @staticmethod
            def forward(context: Any, x: Any) -> Any:
                context.save_for_backward(x)
                return x**2

            @staticmethod
            def backward(context: Any, g: Any) -> Any:
                (x,) = context.saved_tensors
                return 2 * g * x.detach()

        x = drawn(3, dtype=torch.float64)
        assert check(lambda x: Square.apply(x).sin().sum(), x).ok
        assert wrong(check(lambda x: Square.apply(x).sin().sum(), x, order=2)) == {"x"}

    def test_complex_numbers(self) -> None:
        z = drawn(3, dtype=torch.complex128)
        assert check(lambda z: (z.abs() ** 3).sum(), z).ok
        assert check(lambda z: (z.abs() ** 3).sum(), z, order=2).ok
        report = check(lambda z: torch.fft.fft(z) * z.conj(), z)
        assert report.ok
        assert paths(report) == ["z.real", "z.imag"]
        assert check(lambda x: torch.fft.rfft(x).abs().sum(), drawn(5)).ok

    def test_gradients_by_hand(self) -> None:
        x = drawn(3)

        def f(x: Any) -> Any:
            return (x**3).sum()

        def by_backward(x: Any) -> Any:
            f(x).backward()
            return x.grad

        assert check(f, x, gradient=lambda x: 3 * x**2).ok
        assert check(f, x, gradient=3 * x**2).ok
        assert check(f, x, gradient=by_backward).ok
        assert not check(f, x, gradient=lambda x: 2 * x**2).ok
        assert check(f, x, vjp=lambda x, g: 3 * x**2 * g, jvp=lambda x, t: (3 * x**2 * t).sum()).ok
        assert check(f, x, hvp=lambda x, v: 6 * x * v).ok
        assert not check(f, x, hvp=lambda x, v: 3 * x * v).ok

    def test_errors(self) -> None:
        with pytest.raises(UsageError, match="must return arrays of real numbers"):
            check(lambda x: None, drawn(3))
        with pytest.raises(InputError, match="wrt= names 'weight', which is not a variable; there are input"):
            check(network(), drawn(2, 4), wrt="weight")
        with warnings.catch_warnings(action="ignore"):  # TorchScript is deprecated
            scripted = torch.jit.script(network())
        with pytest.raises(UsageError, match="a TorchScript module cannot be run with other parameters"):
            check(scripted, drawn(2, 4))


@pytest.mark.filterwarnings("error")
class TestFunctionsOfJax:
    x = np.linspace(-1.0, 2.0, 7)

    @staticmethod
    def f(x: Any) -> Any:
        return jnp.sum(jax.nn.softplus(x) * x)

    def test_in_single_precision(self) -> None:
        report = check(self.f, jnp.asarray(self.x))
        assert report.ok, str(report)
        assert str(report) == ("gradcheck of f: passed (7 right; by central differences with Richardson extrapolation)")
        assert not jax.config.jax_enable_x64

    def test_in_double_precision(self) -> None:
        with jax.enable_x64(True):
            assert check(self.f, jnp.asarray(self.x)).ok
            report = check(self.f, jnp.asarray(self.x), gradient=lambda x: jax.grad(self.f)(x) * (1 + 1e-7))
            assert wrong(report) == {"x"}

    def test_compiled_ones_and_arrays_of_numpy(self) -> None:
        assert check(jax.jit(self.f), self.x).ok

    def test_containers(self) -> None:
        def f(p: Any, n: Any) -> Any:
            return {"y": p["b"] * p["a"][0], "z": p["a"][1][n]}

        report = check(f, {"b": jnp.ones(2), "a": (2.0, jnp.arange(3.0))}, jnp.array([0, 2]))
        assert report.ok, str(report)
        assert paths(report) == ["p.b", "p.a.0", "p.a.1"]

    def test_a_function_that_reads_jax_needs_no_array_of_jax(self) -> None:
        assert check(self.f, self.x).ok
        assert check(self.f, 0.5).ok
        assert check(lambda x: float(jnp.sum(x**3)), self.x, gradient=lambda x: 3 * x**2).ok
        assert check(lambda x: float(jnp.sum(x**3)), self.x, gradient=lambda x: 3 * np.asarray(x) ** 2).ok

    @pytest.mark.parametrize("out", [float, np.asarray])
    def test_a_function_that_leaves_jax_needs_its_gradient(self, out: Any) -> None:
        def f(x: Any) -> Any:
            return out(jnp.sum(jnp.asarray(x) * 2.0))

        with pytest.raises(UsageError, match=r"JAX cannot differentiate f, .* or pass gradient= as well"):
            check(f, self.x)
        assert check(f, self.x, gradient=np.full_like(self.x, 2.0)).ok

    def test_containers_that_only_jax_knows(self) -> None:
        @jax.tree_util.register_pytree_with_keys_class
        class Layer:
            def __init__(self, weight: Any) -> None:
                self.weight = weight

            def tree_flatten_with_keys(self) -> Any:
                return [(jax.tree_util.GetAttrKey("weight"), self.weight)], None

            @classmethod
            def tree_unflatten(cls, _: Any, leaves: Any) -> Any:
                return cls(*leaves)

        report = check(lambda p, x: Layer(jnp.tanh(p[0].weight * x)), [Layer(jnp.ones(2))], np.arange(2.0))
        assert report.ok, str(report)
        assert paths(report) == ["p.0.weight", "x"]

    def test_a_loop_that_takes_no_float64(self) -> None:
        def f(x: Any) -> Any:
            return jax.lax.scan(lambda c, a: (jnp.tanh(c + a), c * a), jnp.float32(0.1), x)[1]

        report = check(f, jnp.ones(4))
        assert not wrong(report), str(report)
        assert "does not run in float64" in str(report)

    def test_gradients_of_dicts_whose_keys_jax_sorts(self) -> None:
        def f(p: Any) -> Any:
            return jnp.sum(p["w"] * p["b"] ** 2)

        assert check(f, {"w": jnp.ones(2), "b": jnp.arange(2.0)}, gradient=jax.grad(f)).ok

    def test_a_wrong_rule(self) -> None:
        @jax.custom_vjp
        def cube(x: Any) -> Any:
            return x**3

        cube.defvjp(lambda x: (x**3, x), lambda x, g: (2 * g * x**2,))
        assert wrong(check(lambda x, y: jnp.sum(cube(x)) + jnp.sum(y), jnp.ones(2), jnp.ones(2))) == {"x"}

    def test_second_order_and_forward_mode(self) -> None:
        assert check(self.f, jnp.asarray(self.x), order=2).ok
        assert check(self.f, jnp.asarray(self.x), method="forward").ok

    def test_complex_numbers(self) -> None:
        z = jnp.array([1 + 2j, 0.5 - 1j])
        assert check(lambda z: jnp.sum(jnp.abs(z) ** 3), z).ok
        assert check(lambda z: jnp.sum(jnp.abs(z) ** 3), z, order=2).ok
        report = check(lambda z: jnp.exp(z) * jnp.conj(z), z)
        assert report.ok
        assert paths(report) == ["z.real", "z.imag"]
        assert check(lambda z: jnp.exp(z) * jnp.conj(z), z, method="forward").ok

    def test_random_numbers_that_depend_on_the_dtype(self) -> None:
        def f(x: Any, key: Any) -> Any:
            return jnp.sum(x * jax.random.normal(key, x.shape))

        report = check(f, jnp.ones(3), jax.random.key(0))
        assert not wrong(report), str(report)
        assert "results differ there" in str(report)

    def test_gradients_by_hand(self) -> None:
        x = jnp.asarray(self.x)
        assert check(lambda x: x**3, x, vjp=lambda x, g: 3 * x**2 * g).ok
        assert check(lambda x: x**3, x, jvp=lambda x, t: 3 * x**2 * t).ok
        assert check(lambda x: jnp.sum(x**3), x, hvp=lambda x, v: 6 * x * v).ok
        assert not check(lambda x: jnp.sum(x**3), x, hvp=lambda x, v: 3 * x * v).ok


@pytest.mark.parametrize("captured", ["closure", "default", "partial"])
def test_a_function_of_jax_may_read_arrays_of_numpy_and_be_called_again(captured: str) -> None:
    """JAX keeps what it made of an array in double precision, and then fails with it in single precision."""
    weights, x = np.array([1.5, -0.3, 2.0]), jnp.array([0.2, 0.4, -1.0])

    def closure(x: Any) -> Any:
        return jnp.sum(jnp.tanh(x) * weights)

    def default(x: Any, by: Any = weights) -> Any:
        return jnp.sum(jnp.tanh(x) * by)

    f = {"closure": closure, "default": default, "partial": partial(lambda by, x: jnp.sum(jnp.tanh(x) * by), weights)}
    assert check(f[captured], x).ok
    assert jnp.isfinite(f[captured](x))
    assert check(f[captured], x, gradient=lambda x: weights * (1 - np.tanh(x) ** 2)).ok


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_gradient_straight_through_a_rounding_is_not_verified(dtype: Any) -> None:
    class Rounded(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, x: Any) -> Any:
            return torch.round(x * 4) / 4

        @staticmethod
        def backward(context: Any, g: Any) -> Any:
            return g

    weights, x = drawn(3, 4, dtype=torch.float64), drawn(3, 4, dtype=dtype)
    assert not check(lambda x: torch.sum(Rounded.apply(x) * weights), x).ok


@pytest.mark.parametrize("distance", [20.0, 30.0, 36.0, 38.0, 50.0, 100.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_loss_that_is_lost_beside_1_has_no_wrong_gradient(dtype: Any, distance: float) -> None:
    """No value tells a slope of 1e-20, and forward mode rounds p - 1 otherwise than reverse mode does."""
    near = drawn(3, 3, dtype=dtype)
    apart = (distance * torch.eye(3) + near).to(dtype)
    losses = {
        "cross-entropy": (lambda z: F.cross_entropy(z, torch.arange(3)), apart),
        "log(1 + exp)": (lambda z: torch.sum(torch.log(1 + torch.exp(z - distance))), near),
        "sigmoid": (lambda z: torch.sum(1 - torch.sigmoid(z + distance)), near),
    }
    for name, (loss, z) in losses.items():
        assert check(loss, z).outcome != "failed", name
        assert check(loss, z, gradient=lambda z, loss=loss: by_torch(loss, z) + 1e-3).outcome == "failed", name


FAR_APART = 20.0 * torch.abs(torch.arange(4.0)[:, None] - torch.arange(4.0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_gradient_that_is_rounding_in_its_own_precision_is_not_wrong(dtype: Any) -> None:
    """Each term is 1 but for 1e-9, and its gradient in float32 is 0 or the last digit of 1."""

    def marginals(u: Any) -> Any:
        return torch.sum(torch.exp(u - torch.logsumexp(u[:, None] - FAR_APART, 0)))

    for _ in range(3):
        u = drawn(4, dtype=dtype)
        assert check(marginals, u).outcome != "failed"
        assert check(marginals, u, gradient=lambda u: by_torch(marginals, u) + 1e-3).outcome == "failed"


def by_torch(loss: Any, z: Any) -> Any:
    """The gradient by PyTorch."""
    z = z.detach().requires_grad_()
    return torch.autograd.grad(loss(z), z)[0]


class Swish(torch.autograd.Function):
    """With a term of its derivative left out, in the form without a context in `forward`."""

    @staticmethod
    def forward(x: Any, slope: Any, power: int) -> Any:
        return x * torch.sigmoid(slope * x) ** power

    @staticmethod
    def setup_context(context: Any, inputs: Any, output: Any) -> None:
        context.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(context: Any, g: Any) -> Any:
        x, slope = context.saved_tensors
        s = torch.sigmoid(slope * x)
        return g * s, g * x * x * s * (1 - s), None


@jax.custom_vjp
def tempered(z: Any, options: Any) -> Any:
    return options["t"] * jax.nn.logsumexp(z / options["t"])


def _tempered_forward(z: Any, options: Any) -> Any:
    return options["t"] * jax.nn.logsumexp(z / options["t"]), (z, options["t"])


def _tempered_backward(kept: Any, g: Any) -> Any:
    z, t = kept
    p = jax.nn.softmax(z / t)
    return g * p, {"t": g * (jax.nn.logsumexp(z / t) - jnp.dot(p, z))}


tempered.defvjp(_tempered_forward, _tempered_backward)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_function_of_pytorch_with_a_wrong_rule_of_its_own_is_named(dtype: Any) -> None:
    cube, swish = Cube.apply, Swish.apply
    kept = Cube.__dict__["forward"], Swish.__dict__["forward"]
    slope = torch.ones(3, dtype=dtype, requires_grad=True)
    x = drawn(3, dtype=dtype).requires_grad_()
    report = check(lambda x, slope: torch.sum(torch.sin(swish(x, slope, 1))), x, slope)
    (finding,) = report.findings
    assert finding.path == "x", report
    assert finding.where.startswith("Swish, called at test_frameworks.py:"), report
    assert finding.why.startswith("its own derivative with respect to x is wrong"), report
    report = check(lambda x: torch.sum(torch.sin(cube(torch.exp(x)))), x)
    assert "torch.sum(torch.sin(cube(" in report.findings[0].where, report
    assert "0.666667 times what it should be: 2/3" in report.findings[0].why, report
    assert (Cube.__dict__["forward"], Swish.__dict__["forward"]) == kept
    report = check(lambda x: 3 * torch.sum(cube(swish(x, torch.ones_like(x), 1))), x)
    assert "Cube" in str(report), report
    assert "Swish" in str(report), report


def test_a_function_with_a_wrong_rule_is_not_blamed_for_what_does_not_go_through_it() -> None:
    x, y = drawn(2, dtype=torch.float64), drawn(3, dtype=torch.float64)
    mistakes = {
        "detached": lambda x, y: Cube.apply(x).sum() + (y.detach() ** 2 * y).sum(),
        "another argument": lambda x, y: Cube.apply(x).sum() + Swish.apply(y, torch.ones_like(y), 1).sum(),
    }
    said = {}
    for mistake, f in mistakes.items():
        for bounds in (None, {"y": (-10, np.max(y.numpy()))}):
            of_x, of_y = check(f, x, y, bounds=bounds).findings
            assert of_x.where.startswith("Cube, called at"), of_x
            assert "Swish" not in of_x.why, of_x
            said[mistake] = of_y
    assert "Cube" not in str(said["detached"])
    assert said["another argument"].where.startswith("Swish, called at"), said
    assert "Cube" not in said["another argument"].why


def test_a_rule_that_cannot_be_checked_alone_leaves_the_report() -> None:
    calls = [0]

    class Tired(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, x: Any) -> Any:
            calls[0] += 1
            if calls[0] > allowed:
                raise RuntimeError("no more")
            return x * 2

        @staticmethod
        def backward(context: Any, g: Any) -> Any:
            return 3 * g

    def f(x: Any) -> Any:
        return torch.sum(Tired.apply(x))

    x, allowed = drawn(2, dtype=torch.float64), 10**6
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(TorchProgram, "own_rules", lambda *_: ())
        report, needed = str(check(f, x)), calls[0]
    for more in range(5):
        calls[0], allowed = 0, needed + more
        assert str(check(f, x)) == report, more

    @partial(jax.custom_vjp, nondiff_argnums=(1,))
    def multiple(x: Any, k: float) -> Any:
        return k * x

    multiple.defvjp(lambda x, k: (k * x, None), lambda k, kept, g: (g * (k + 1),))
    assert check(lambda x: jnp.sum(multiple(x, 2.0)), jnp.ones(2)).outcome == "failed"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_function_of_jax_with_a_wrong_rule_of_its_own_is_named(dtype: Any) -> None:
    call = jax.custom_vjp.__call__
    with jax.enable_x64(dtype is np.float64):
        z, t = jnp.asarray([[0.3, -0.5, 0.8], [1.2, 0.1, -0.4]], dtype), jnp.asarray(0.7, dtype)
        for batched in (False, True):
            each = jax.vmap(tempered, in_axes=(0, None)) if batched else lambda z, options: tempered(z[0], options)
            report = check(lambda z, t, each=each: jnp.sum(jnp.sin(each(z, {"t": t}))), z, t)
            (finding,) = (finding for finding in report.findings if finding.fails)
            assert finding.path == "t", report
            assert finding.where.startswith("tempered, called at test_frameworks.py:"), report
            assert finding.why.startswith("its own derivative with respect to options.t is wrong"), report
    assert jax.custom_vjp.__call__ is call


class Sine(torch.autograd.Function):
    """A function whose rule is written as the test likes."""

    @staticmethod
    def forward(context: Any, x: Any, rule: Any) -> Any:
        context.save_for_backward(x)
        context.rule = rule
        return x.sin()

    @staticmethod
    def backward(context: Any, g: Any) -> Any:
        (x,) = context.saved_tensors
        return context.rule(g, x), None


RULES = {
    "one that takes all rows": (lambda g, x: g * x.cos(), "passed"),
    "one that leaves PyTorch": (lambda g, x: torch.from_numpy(g.numpy() * x.cos().numpy()), "passed"),
    "one that asks for a number": (lambda g, x: g * x.cos() if float(g.sum()) else torch.zeros_like(g), "passed"),
    "one that writes into what it is given": (lambda g, x: g.clone().mul_(x.cos()), "passed"),
    "one that leaves PyTorch, wrongly": (lambda g, x: torch.from_numpy(g.numpy() * x.sin().numpy()), "failed"),
    "one of all entries, wrongly": (lambda g, x: g.sum() * x.cos(), "failed"),
    "one that leaves out the upstream gradient": (lambda g, x: x.cos(), "failed"),
    "one that clips, wrongly": (lambda g, x: g.clamp(-0.5, 0.5) * x.cos(), "failed"),
}


@pytest.mark.parametrize("name", RULES)
def test_many_rows_have_the_gradients_that_each_has_alone(name: str) -> None:
    rule, outcome = RULES[name]
    x = drawn(5, 8, dtype=torch.float64)
    report = check(lambda x: Sine.apply(x, rule), x)
    assert report.outcome == outcome

    y = Sine.apply(leaf := x.clone().requires_grad_(), rule)
    alone = [torch.autograd.grad(y, leaf, unit.reshape(5, 8), retain_graph=True)[0].numpy() for unit in torch.eye(40)]
    np.testing.assert_allclose(report["x"].gradient.reshape(40, 5, 8), np.stack(alone), rtol=0, atol=1e-14)


def test_rows_that_pytorch_takes_together_wrongly_are_taken_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    together = []

    def wrongly(*arguments: Any, is_grads_batched: bool = False, **options: Any) -> Any:
        found = grad(*arguments, is_grads_batched=is_grads_batched, **options)
        if is_grads_batched:
            together.append(len(found[0]))
            found[0][3] *= 1.001
        return found

    grad = torch.autograd.grad
    monkeypatch.setattr(torch.autograd, "grad", wrongly)
    assert check(torch.sin, drawn(40, dtype=torch.float64)).ok
    assert 40 in together


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_function_that_pytorch_approximates_has_no_wrong_gradient(dtype: Any) -> None:
    """PyTorch's trigamma is off by 4e-10, and its derivative is not."""
    x = torch.tensor([0.35, 0.6, 1.0, 1.7, 2.5], dtype=dtype)
    report = check(lambda x: torch.special.polygamma(1, x).sum(), x)
    assert report.ok, str(report)
