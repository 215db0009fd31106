"""Gradients that are clipped, parameters as a vector, and weights that are computed from others."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn, optim
from tinygrad_lite.errors import AxisError, InputError, ShapeError, UsageError
from tinygrad_lite.nn import utils
from tinygrad_lite.nn.utils import parametrizations, parametrize

RNG = np.random.default_rng(0)
X, T = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 2))


def learnt(seed: int = 0, dtype: Any = np.float64) -> nn.Module:
    model = nn.Sequential(nn.Linear(3, 4, rng=seed, dtype=dtype), nn.Tanh(), nn.Linear(4, 2, rng=seed, dtype=dtype))
    nn.functional.mse_loss(model(X.astype(dtype)), T.astype(dtype)).backward()
    return model


def gradients(model: nn.Module) -> Any:
    return np.concatenate([p.grad.numpy().ravel() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("norm_type", [2.0, 1, 3.5, np.inf, 2])
@pytest.mark.parametrize("share", [0.5, 2.0])
def test_clipping_by_the_norm(norm_type: float, share: float, dtype: Any) -> None:
    model = learnt(dtype=dtype)
    model.unused = nn.Parameter(np.ones(2))
    before = gradients(model)
    norm = np.linalg.norm(before, norm_type)
    rtol = 1e-12 if dtype == np.float64 else 1e-5
    total = utils.clip_grad_norm_(model.parameters(), share * norm, norm_type)
    np.testing.assert_allclose(total.item(), norm, rtol=rtol)
    np.testing.assert_allclose(gradients(model), before * min(1, share * norm / (norm + 1e-6)), rtol=rtol)
    assert total.dtype == gradients(model).dtype == dtype
    assert model.unused.grad is None
    np.testing.assert_allclose(
        utils.get_total_norm(gradients(model), norm_type).item(), min(1, share) * norm, rtol=1e-4
    )


def test_clipping_by_value_and_of_one_parameter() -> None:
    model = learnt()
    before = gradients(model)
    utils.clip_grad_value_(model.parameters(), 0.01)
    np.testing.assert_array_equal(gradients(model), np.clip(before, -0.01, 0.01))
    weight = model[0].weight
    utils.clip_grad_norm_(weight, 1e-3)
    np.testing.assert_allclose(np.linalg.norm(weight.grad.numpy()), 1e-3, rtol=1e-2)
    assert utils.clip_grad_norm_([], 1.0).item() == 0


def test_a_norm_that_is_not_finite() -> None:
    model = learnt()
    model[0].bias.grad = np.array([1, 2, np.nan, 3])
    before = gradients(model)
    with pytest.raises(InputError, match="the norm of these gradients is nan"):
        utils.clip_grad_norm_(model.parameters(), 1.0, error_if_nonfinite=True)
    np.testing.assert_array_equal(gradients(model), before)
    assert np.isnan(utils.clip_grad_norm_(model.parameters(), 1.0).item())
    with pytest.raises(UsageError, match="parameters must be tensors"):
        utils.clip_grad_norm_(["w"], 1.0)
    with pytest.raises(UsageError, match="max_norm must be a number, got '1'"):
        utils.clip_grad_norm_(model.parameters(), "1")  # type: ignore[arg-type]


@pytest.mark.parametrize("bound", [-1, -0.5, np.float32(-2), float("nan"), -np.inf])
@pytest.mark.parametrize(
    "clip",
    [
        utils.clip_grad_norm_,
        utils.clip_grad_value_,
        lambda parameters, bound: utils.clip_grads_with_norm_(parameters, bound, tg.tensor(1.0)),
    ],
)
def test_bounds_that_would_turn_gradients_around(clip: Callable[..., Any], bound: Any) -> None:
    model = learnt()
    before = gradients(model)
    with pytest.raises(InputError, match="must be at least 0, got"):
        clip(model.parameters(), bound)
    np.testing.assert_array_equal(gradients(model), before)


@pytest.mark.long
@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize(
    "clip",
    [
        lambda p: utils.clip_grad_norm_(p, 0.05),
        lambda p: utils.clip_grad_norm_(p, 0.05, np.inf),
        lambda p: utils.clip_grad_value_(p, 0.01),
    ],
)
def test_a_compiled_step_clips(clip: Callable[[Any], Any], backend: Any) -> None:
    def trained(compiled: bool) -> Any:
        model = nn.Sequential(nn.Linear(3, 4, rng=0), nn.Tanh(), nn.Linear(4, 2, rng=1))
        optimizer = tg.optim.Adam(model.parameters(), lr=0.1)

        def step(x: Any, t: Any) -> Any:
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(x), t)
            loss.backward()
            total = clip(model.parameters())
            optimizer.step()
            return loss, total

        run = tg.compile(step, backend=backend) if compiled else step
        norms = [run(X * scale, T)[1] for scale in (1.0, 1e-3, 3.0)]
        return [None if norm is None else norm.item() for norm in norms], model.state_dict()

    (norms, found), (expected_norms, expected) = trained(True), trained(False)
    if norms[0] is not None:
        np.testing.assert_allclose(norms, expected_norms, rtol=1e-10)
    for path in expected:
        np.testing.assert_allclose(found[path], expected[path], rtol=1e-9)


def test_parameters_as_a_vector() -> None:
    model = learnt()
    vector = utils.parameters_to_vector(model.parameters())
    np.testing.assert_array_equal(vector.numpy(), np.concatenate([p.numpy().ravel() for p in model.parameters()]))
    model.zero_grad()
    np.sum(vector**2).backward()
    np.testing.assert_allclose(gradients(model), 2 * vector.numpy())
    other = learnt(1)
    utils.vector_to_parameters(vector.detach(), other.parameters())
    np.testing.assert_array_equal(other(X).numpy(), model(X).numpy())
    assert other[0].weight.requires_grad
    before = other.state_dict()
    with pytest.raises(ShapeError, match=r"must have shape \(26,\), got \(25,\)"):
        utils.vector_to_parameters(np.ones(25), other.parameters())
    assert all(np.array_equal(before[path], value) for path, value in other.state_dict().items())


class Symmetric(nn.Module):
    def forward(self, x: Any) -> Any:
        return np.triu(x) + np.triu(x, 1).T


class Narrow(nn.Module):
    def forward(self, x: Any) -> Any:
        return x.astype(np.float32)


class Positive(nn.Module):
    """With a parameter of its own."""

    def __init__(self) -> None:
        self.scale = nn.Parameter(np.array(1.5))

    def forward(self, x: Any) -> Any:
        return self.scale * np.exp(x)

    def right_inverse(self, x: Any) -> Any:
        return np.log(np.abs(x) / self.scale)


MADE: dict[str, tuple[Callable[[], nn.Module], list[str]]] = {
    "weight norm": (lambda: parametrizations.weight_norm(nn.Linear(3, 2, rng=0)), ["original0", "original1"]),
    "of the whole": (
        lambda: parametrizations.weight_norm(nn.Linear(3, 2, rng=0), axis=None),
        ["original0", "original1"],
    ),
    "by columns": (lambda: parametrizations.weight_norm(nn.Linear(3, 2, rng=0), axis=1), ["original0", "original1"]),
    "spectral norm": (
        lambda: parametrizations.spectral_norm(nn.Linear(3, 2, rng=0), rng=1),
        ["0._u", "0._v", "original"],
    ),
    **{
        f"orthogonal by {how}": (
            lambda how=how: parametrizations.orthogonal(nn.Linear(3, 2, rng=0), orthogonal_map=how),
            ["0.base", "original"],
        )
        for how in ("matrix_exp", "cayley", "householder")
    },
    "orthogonal by reflections alone": (
        lambda: parametrizations.orthogonal(nn.Linear(3, 2, rng=0), use_trivialization=False),
        ["original"],
    ),
    "symmetric": (
        lambda: parametrize.register_parametrization(nn.Linear(3, 3, rng=0), "weight", Symmetric()),
        ["original"],
    ),
    "two": (
        lambda: parametrize.register_parametrization(
            parametrize.register_parametrization(nn.Linear(3, 3, rng=0), "weight", Symmetric()), "weight", Positive()
        ),
        ["original", "1.scale"],
    ),
}


@pytest.mark.long
@pytest.mark.parametrize(("make", "names"), MADE.values(), ids=MADE)
def test_a_parametrized_layer_in_everything(make: Any, names: list[str]) -> None:
    layer = make()
    assert isinstance(layer, nn.Linear)
    assert parametrize.is_parametrized(layer)
    assert parametrize.is_parametrized(layer, "weight")
    assert sorted(layer.state_dict()) == sorted(["bias", *(f"parametrizations.weight.{name}" for name in names)])
    np.testing.assert_allclose(layer.eval()(X).numpy(), X @ layer.weight.numpy().T + layer.bias.numpy())
    assert tg.gradcheck(layer, X, order=2)
    for again in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), make().eval()):
        again.load_state_dict(layer.state_dict())
        np.testing.assert_array_equal(again(X).numpy(), layer(X).numpy())
        assert again.get_parameter("bias") is not layer.bias
    for f in (lambda m: np.sum(m(X) ** 2), lambda m: np.sum(m.weight**3)):
        reverse, forward = tg.grad(f)(layer), tg.jacobian(f, mode="forward")(layer)
        layer.zero_grad()
        f(layer).backward()
        for path, parameter in layer.named_parameters():
            expected = np.zeros(parameter.shape) if parameter.grad is None else parameter.grad.numpy()
            np.testing.assert_allclose(reverse[path].detach(), expected, rtol=1e-12)
            np.testing.assert_allclose(forward[path].detach(), expected, rtol=1e-10, atol=1e-13)
    for backend in ("numpy", "native"):
        run = tg.compile(lambda m, x: m(x), backend=backend)
        for _ in range(2):
            np.testing.assert_allclose(run(layer, X).detach(), layer(X).detach(), rtol=1e-12)
    assert repr(layer).startswith("ParametrizedLinear(3, ")
    value, weight = layer(X).numpy(), layer.weight
    assert parametrize.remove_parametrizations(layer, "weight") is layer
    assert type(layer) is nn.Linear
    assert sorted(layer.state_dict()) == ["bias", "weight"]
    assert layer.weight.requires_grad
    np.testing.assert_array_equal(layer.weight.numpy(), weight.numpy())
    np.testing.assert_array_equal(layer(X).numpy(), value)


def test_weight_norm_is_its_formula() -> None:
    plain, layer = nn.Linear(3, 2, rng=0), parametrizations.weight_norm(nn.Linear(3, 2, rng=0))
    np.testing.assert_allclose(layer.weight.numpy(), plain.weight.numpy(), rtol=1e-15)
    length, direction = layer.parametrizations.weight.originals()
    length.data = np.array([[2.0], [3.0]])
    expected = plain.weight.numpy() / np.linalg.norm(plain.weight.numpy(), axis=1, keepdims=True) * [[2], [3]]
    np.testing.assert_allclose(layer.weight.numpy(), expected, rtol=1e-14)
    layer.weight = plain.weight
    np.testing.assert_allclose(layer.weight.numpy(), plain.weight.numpy(), rtol=1e-15)
    assert direction is layer.parametrizations.weight.original1


@pytest.mark.parametrize("how", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5), (2, 5, 3), (1, 4)])
def test_an_orthogonal_weight_begins_with_the_present_one_and_stays_so(how: str, shape: tuple[int, ...]) -> None:
    for base in (True, False) if how == "householder" else (True,):
        made = np.linalg.qr(
            RNG.normal(size=shape).swapaxes(-1, -2) if shape[-2] < shape[-1] else RNG.normal(size=shape)
        )[0]
        weight = made.swapaxes(-1, -2) if made.shape != shape else made
        layer = nn.Module()
        layer.weight = nn.Parameter(weight)
        parametrizations.orthogonal(layer, orthogonal_map=how, use_trivialization=base)
        np.testing.assert_allclose(layer.weight.numpy(), weight, rtol=1e-12, atol=1e-14)
        optimizer = tg.optim.SGD(layer.parameters(), lr=0.3)
        np.sum(layer.weight * RNG.normal(size=shape)).backward()
        optimizer.step()
        assert np.max(np.abs(layer.weight.numpy() - weight)) > 0.01
        tall = layer.weight.numpy() if shape[-2] >= shape[-1] else layer.weight.numpy().swapaxes(-1, -2)
        one = np.broadcast_to(np.eye(min(shape[-2:])), (*shape[:-2], min(shape[-2:]), min(shape[-2:])))
        np.testing.assert_allclose(tall.swapaxes(-1, -2) @ tall, one, atol=1e-13)
        layer.weight = weight
        np.testing.assert_allclose(layer.weight.numpy(), weight, rtol=1e-12, atol=1e-14)


def test_spectral_norm_follows_the_largest_singular_value() -> None:
    layer = parametrizations.spectral_norm(nn.Linear(6, 5, rng=0), rng=1)
    with tg.no_grad():
        layer.parametrizations.weight.original.data = RNG.normal(size=(5, 6))
    state = layer.state_dict()
    u, v = state["parametrizations.weight.0._u"], state["parametrizations.weight.0._v"]
    matrix = state["parametrizations.weight.original"]
    u = matrix @ v / np.linalg.norm(matrix @ v)
    v = matrix.T @ u / np.linalg.norm(matrix.T @ u)
    np.testing.assert_allclose(layer.weight.numpy(), matrix / (u @ matrix @ v), rtol=1e-13)
    for _ in range(100):
        layer(RNG.normal(size=(2, 6)))
    assert abs(np.linalg.norm(layer.weight.numpy(), 2) - 1) < 1e-6
    layer.eval()
    before = layer.state_dict()
    layer(RNG.normal(size=(2, 6)))
    assert all(np.array_equal(before[path], value) for path, value in layer.state_dict().items())
    bias = parametrizations.spectral_norm(nn.Linear(3, 2, rng=0), "bias")
    np.testing.assert_allclose(np.linalg.norm(bias.bias.numpy()), 1)


def test_a_compiled_step_follows_as_well() -> None:
    def trained(compiled: bool) -> Any:
        layer = parametrizations.spectral_norm(nn.Linear(3, 2, rng=0), rng=1)
        optimizer = tg.optim.SGD(layer.parameters(), lr=0.1)

        def step(x: Any, t: Any) -> Any:
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(layer(x), t)
            loss.backward()
            optimizer.step()
            return loss

        run = tg.compile(step) if compiled else step
        return [run(X, T).item() for _ in range(4)], layer.state_dict()

    (losses, found), (expected_losses, expected) = trained(True), trained(False)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-12)
    for path in expected:
        np.testing.assert_allclose(found[path], expected[path], rtol=1e-12)


OLDER: dict[str, tuple[Callable[[Any], nn.Module], Callable[[Any], nn.Module], list[str]]] = {
    "weight norm": (utils.weight_norm, utils.remove_weight_norm, ["weight_g", "weight_v"]),
    "of the whole": (lambda m: utils.weight_norm(m, axis=None), utils.remove_weight_norm, ["weight_g", "weight_v"]),
    "spectral norm": (
        lambda m: utils.spectral_norm(m, rng=1),
        utils.remove_spectral_norm,
        ["weight_orig", "weight_u", "weight_v"],
    ),
}


@pytest.mark.parametrize(("make", "remove", "names"), OLDER.values(), ids=OLDER)
def test_the_older_names(make: Any, remove: Any, names: list[str]) -> None:
    layer = make(nn.Linear(3, 2, rng=0))
    assert list(layer.state_dict()) == ["bias", *names]
    run = tg.compile(lambda m, x: m(x))
    for _ in range(5):
        layer(X)
    layer.eval()
    value = layer(X)
    np.testing.assert_allclose(value.numpy(), X @ layer.weight.numpy().T + layer.bias.numpy())
    np.testing.assert_allclose(run(layer, X).detach(), value.detach(), rtol=1e-13)
    assert tg.gradcheck(layer, X, order=2)
    for again in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        np.testing.assert_array_equal(again(X).numpy(), value.numpy())
    gradient = tg.grad(lambda m: np.sum(m(X) ** 2))(layer)
    assert gradient.keys() == {
        "bias",
        *(name for name in names if name[-1] != "u" and (name[-1] != "v" or len(names) == 2)),
    }
    with tg.no_grad():
        layer(X)
    assert list(layer.state_dict()) == ["bias", *names], "what is computed is not state"
    with pytest.raises(UsageError, match="cannot be assigned"):
        layer.weight = layer.weight
    with pytest.raises(UsageError, match="no tensor 'weight' of its own"):
        make(layer)
    assert type(remove(layer)) is nn.Linear
    assert list(layer.state_dict()) == ["bias", "weight"]
    np.testing.assert_allclose(layer(X).numpy(), value.numpy(), rtol=1e-15)
    assert not layer._hooks
    with pytest.raises(UsageError, match="is not normalised"):
        remove(layer)


REFUSED: dict[str, tuple[Callable[[nn.Module], Any], type[Exception], str]] = {
    "no tensor": (
        lambda m: parametrize.register_parametrization(m, "w", Symmetric()),
        UsageError,
        r"Linear\(3, 2\) has no tensor 'w'",
    ),
    "no module": (lambda m: parametrize.register_parametrization(m, "weight", np.exp), UsageError, "is a module"),
    "shape": (
        lambda m: parametrize.register_parametrization(m, "weight", nn.Linear(3, 4)),
        ShapeError,
        r"Linear\(3, 4\) makes shape \(2, 4\)",
    ),
    "dtype": (
        lambda m: parametrize.register_parametrization(m, "weight", Narrow()),
        UsageError,
        "makes float32 of a tensor of float64",
    ),
    "not parametrized": (lambda m: parametrize.remove_parametrizations(m, "weight"), UsageError, "is not parametrized"),
    "iterations": (lambda m: parametrizations.spectral_norm(m, n_power_iterations=0), InputError, "got 0"),
    "map": (lambda m: parametrizations.orthogonal(m, orthogonal_map="qr"), InputError, "householder; got 'qr'"),
    "vector": (lambda m: parametrizations.orthogonal(m, "bias"), UsageError, "no matrix 'bias'"),
    "no beginning": (
        lambda m: parametrizations.orthogonal(m, orthogonal_map="cayley", use_trivialization=False),
        UsageError,
        "cayley cannot begin with the present weight",
    ),
    "axis": (lambda m: parametrizations.spectral_norm(m, axis=2), AxisError, "axis 2"),
}


@pytest.mark.parametrize(("attempt", "kind", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_changes_nothing(attempt: Any, kind: type[Exception], message: str) -> None:
    layer = nn.Linear(3, 2, rng=0)
    before = dict(vars(layer)), type(layer)
    with pytest.raises(kind, match=message):
        attempt(layer)
    assert (dict(vars(layer)), type(layer)) == before


@pytest.mark.parametrize(
    "call",
    [
        lambda x: utils.clip_grad_norm_(x, 1.0),
        lambda x: utils.clip_grad_value_(x, 1.0),
        utils.parameters_to_vector,
        lambda x: utils.vector_to_parameters(np.ones(8), x),
    ],
)
def test_what_takes_parameters_says_what_to_pass(call: Any) -> None:
    for wrong in (nn.Linear(3, 2), np.ones(3), np.float64(1.0), [1.0], None):
        with pytest.raises(UsageError, match=r"such as model.parameters\(\); got "):
            call(wrong)


def test_a_parameter_of_another_library_is_named_with_it() -> None:
    foreign = type("Tensor", (), {"__module__": "torch"})()
    for call in (optim.SGD, utils.parameters_to_vector):
        with pytest.raises(UsageError, match=r"must be tensors.* got torch's Tensor"):
            call([foreign])
    with pytest.raises(UsageError, match=r"needs an optimiser.* got torch's Tensor"):
        optim.lr_scheduler.ExponentialLR(foreign, 0.9)


@pytest.mark.parametrize(
    "call",
    [
        parametrizations.orthogonal,
        parametrizations.spectral_norm,
        parametrizations.weight_norm,
        utils.weight_norm,
        utils.spectral_norm,
        lambda x: parametrize.register_parametrization(x, "weight", Symmetric()),
    ],
)
def test_what_takes_a_layer_says_so(call: Any) -> None:
    with pytest.raises(UsageError, match="got ndarray: pass the layer"):
        call(np.ones((3, 3)))


def test_what_has_no_inverse_is_not_assigned() -> None:
    layer = parametrize.register_parametrization(nn.Linear(3, 3, rng=0), "weight", Symmetric())
    with pytest.raises(UsageError, match=r"Symmetric.* has no right_inverse"):
        layer.weight = np.ones((3, 3))
    several = parametrizations.weight_norm(nn.Linear(3, 3, rng=0))
    with pytest.raises(UsageError, match="has 2 originals"):
        parametrize.remove_parametrizations(several, "weight", leave_parametrized=False)


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, np.inf])
def test_gradients_of_half_precision_are_clipped_though_their_norm_is_larger_than_it_holds(norm_type: float) -> None:
    w = nn.Parameter(np.zeros(9, np.float16))
    w.grad = tg.tensor(np.linspace(20000, 60000, 9).astype(np.float16))
    exact = np.linalg.norm(w.grad.numpy().astype(float), norm_type)
    np.testing.assert_allclose(utils.clip_grad_norm_(w, 1.0, norm_type).item(), exact, rtol=1e-6)
    assert w.grad.dtype == np.float16
    np.testing.assert_allclose(np.linalg.norm(w.grad.numpy().astype(float), norm_type), 1, rtol=2e-3)
