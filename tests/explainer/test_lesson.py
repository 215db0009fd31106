"""Lessons in words and step by step: on the graphs of the registry, of random programs, and of a user's mistakes."""

import contextlib
import copy
import functools
import io
import pickle
import re
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_lite as tg
from tests.explainer.graphs import COMPLEX, LESSONS, attention, heart, long, scalar
from tests.ops.test_registry import DIFFERENTIABLE
from tinygrad_lite import nn
from tinygrad_lite.engine.op import Op
from tinygrad_lite.errors import FileError, GraphError, InputError, TinygradError, UsageError
from tinygrad_lite.explainer import origins
from tinygrad_lite.explainer.steps import brief
from tinygrad_lite.readers import notation
from tinygrad_lite.testing import Program, inputs_of, programs
from tinygrad_lite.trees import children


@pytest.mark.long
@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=str)
@settings(max_examples=3)
@given(data=st.data())
@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
def test_every_operation_is_explained(op: Op, data: st.DataObject) -> None:
    call = data.draw(inputs_of(op))
    inputs = [tg.tensor(x, requires_grad=True) if i in call.differentiable else x for i, x in enumerate(call.arrays)]
    y = call.value(*inputs)
    if not y.size:
        with pytest.raises(InputError, match="empty"):
            tg.explain(y)
        return
    y = np.real(y) if np.iscomplexobj(y.data) else y
    lesson = tg.explain(y)
    text = str(lesson)
    assert f"= {brief(y.data)}" in text or brief(y.data) in text
    rules = [each.formula for step in lesson.backward.steps for each in step.contributions]
    assert all(rule in text for rule in rules)
    for contribution in (each for step in lesson.backward.steps for each in step.contributions):
        for formula in (contribution.operation.formula, contribution.rule, contribution.local):
            ElementTree.fromstring(f"<math>{notation.mathml(formula)}</math>")
    assert_gradients(lesson, y)


def assert_gradients(lesson: Any, y: tg.Tensor) -> None:
    """Those of the lesson are those of `backward`, up to the order of a sum."""
    y.backward(np.ones(y.shape, y.dtype))
    for leaf in lesson.graph.leaves:
        if leaf.tensor is not None and leaf.tensor.grad is not None:
            found, expected = lesson.backward.gradients[leaf], leaf.tensor.grad.numpy()
            np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-14)


@settings(max_examples=50)
@given(program=programs())
@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
def test_random_programs(program: Program) -> None:
    leaves = [tg.tensor(x, requires_grad=True) for x in program.leaves]
    y = program.run(*leaves)
    if y.op is None or not y.size:
        return  # which is refused
    lesson = tg.explain(y)
    assert all(leaf.grad is None for leaf in leaves), "no .grad is written"
    assert str(lesson) == str(tg.explain(y))
    assert_gradients(lesson, y)


def test_the_rule_is_the_declaration_read_as_a_formula() -> None:
    cube = tg.elementwise(lambda x: x**3, lambda y, x: 3 * x**2, name="test_cube")
    x = tg.tensor(2.0, requires_grad=True, name="x")
    text = str(tg.explain(cube(x)))
    assert "to x: g · 3 · x²" in text
    assert "upstream × local = 1 × 12 = 12, since ∂result/∂x = 3 · x²" in text


def test_accumulation_is_a_sum_of_terms() -> None:
    text = str(scalar())
    assert "g = ∂d/∂b = 4 from (3) + 2 from (2) + 2 from (2) = 8" in text
    assert "∂d/∂a = 8 from (1) + 8 from (1) = 16" in text


def test_broadcasting_is_told() -> None:
    text = str(heart())
    assert "hidden.bias of shape (8,) was broadcast: the sum over axis 0" in text


def test_large_arrays_are_summarised_and_one_entry_is_followed() -> None:
    x = tg.tensor(np.linspace(-1, 1, 40), requires_grad=True, name="x")
    text = str(tg.explain(np.sum(np.tanh(x))))
    assert "shape (40,), mean" in text
    entry, upstream, local, product = re.findall(r"example, entry \[(\d+)\]: ([\d.]+) × ([\d.]+) = ([\d.]+)", text)[0]
    assert float(upstream) * float(local) == pytest.approx(float(product), rel=1e-3)
    assert float(product) == pytest.approx(1 - np.tanh(np.linspace(-1, 1, 40)[int(entry)]) ** 2, rel=1e-3)


def test_steps_one_at_a_time() -> None:
    a = tg.tensor(1.0, requires_grad=True, name="a")
    b = a + a
    c = b + b
    steps = tg.backward_steps(b * c)
    first = next(steps)
    assert first.gradients == {"result": 1.0, "b": 4.0, "c": 2.0}, "only what there is so far"
    rest = list(steps)
    assert [step.operation.name for step in rest] == ["c", "b"]
    assert rest[0].gradients["b"] == 8.0
    assert rest[1].gradients["a"] == 16.0
    assert first.gradients == {"result": 1.0, "b": 4.0, "c": 2.0}, "an earlier step stays as it was"
    assert repr(first).startswith("step 1: result = b · c")
    assert a.grad is None


def test_names() -> None:
    """Its own, the module's path, the user's variable, else a number; each once."""
    model = nn.Sequential(nn.Linear(2, 2, rng=0))
    data = np.ones((1, 2))
    named = tg.tensor(2.0, requires_grad=True, name="rate")
    scaled = model(data) * named
    names = [node.name for node in tg.explain(np.sum(scaled * data)).graph.nodes]
    assert names == ["data", "0.weight", "0.bias", "rate", "t1", "scaled", "t3", "result"]
    twin = tg.tensor(3.0, requires_grad=True, name="rate")
    names = [node.name for node in tg.explain(named * twin).graph.nodes]
    assert names == ["rate", "rate_2", "result"]


def test_lines_and_modules_of_a_function() -> None:
    lesson = heart()
    by_name = {node.name: node for node in lesson.graph.nodes}
    assert by_name["activation"].source.text == "activation = nn.functional.relu(self.hidden(x))"
    assert by_name["hidden"].module == by_name["hidden.weight"].module == "hidden"


class Deep(nn.Module):
    """Containers in containers, hooks, a module that is run on other parameters, a weight that is computed."""

    def __init__(self) -> None:
        self.blocks = [Pair(), {"a": nn.Sequential(Pair())}]
        self.head = nn.utils.parametrizations.weight_norm(nn.Linear(2, 1, rng=3))
        self.meta = Pair()
        self.blocks[0].register_forward_hook(lambda module, args, y: np.sin(y))
        self.meta.register_forward_hook(Scaling())

    def forward(self, x: Any) -> Any:
        x = self.blocks[1]["a"](self.blocks[0](x) * 2)
        return self.head(x + nn.functional_call(self.meta, {"layers.1.bias": 2 * self.meta.layers[1].bias}, x))


class Pair(nn.Module):
    def __init__(self) -> None:
        self.layers = nn.ModuleList([nn.Sequential(nn.Linear(2, 2, rng=0), nn.Tanh()), nn.Linear(2, 2, rng=1)])

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x


class Scaling(nn.Module):
    def __init__(self) -> None:
        self.factor = tg.tensor(2.0, requires_grad=True)

    def forward(self, module: Any, args: Any, y: Any) -> Any:
        return y * self.factor


def test_each_operation_is_inside_the_modules_that_run() -> None:
    model = Deep()
    pair = ["layers.0.0", "layers.0.1", "layers.1"]
    expected = [*(f"blocks.0.{path}" for path in pair), "blocks.0", "", *(f"blocks.1.a.0.{path}" for path in pair), ""]
    expected += [
        *(f"meta.{path}" for path in pair),
        "meta.Scaling",
        "",
        *["head.parametrizations.weight.0"] * 5,
        "head",
        "",
    ]
    data = np.ones((3, 2))
    for lesson in (
        tg.explain(lambda: np.sum(model(data))),
        tg.explain(lambda: np.sum(nn.functional_call(model, {"head.bias": model.head.bias}, data))),
    ):
        assert [node.module for node in lesson.graph.operations] == expected
    places = {leaf.name: leaf.module for leaf in lesson.graph.leaves}
    assert places["meta.layers.1.weight"] == "meta.layers.1"
    assert places["meta.layers.1.bias"] == "", "an operation outside reads it"
    assert places["head.parametrizations.weight.original1"] == "head.parametrizations.weight"


def test_several_models_are_told_apart() -> None:
    encoder, decoder = (nn.Sequential(nn.Linear(2, 2, rng=k), nn.Tanh()) for k in range(2))
    others, criterion = [nn.Linear(2, 2, rng=k) for k in range(2)], nn.MSELoss()
    data = np.ones((3, 2))
    lesson = tg.explain(lambda: criterion(decoder(encoder(data)), encoder(data)))
    assert [node.module for node in lesson.graph.operations] == [
        *["encoder.0", "encoder.1", "decoder.0", "decoder.1", "encoder.0", "encoder.1"],
        *["criterion"] * (len(lesson.graph.operations) - 6),
    ]
    assert {leaf.module for leaf in lesson.graph.leaves} == {"", "encoder.0", "decoder.0"}
    lesson = tg.explain(lambda: np.sum(sum(other(data) for other in others)))
    assert {node.module for node in lesson.graph.operations} == {"", "other", "other_2"}


class ByHand:
    """A model without a base class, as people write their first one."""

    def __init__(self) -> None:
        self.w1 = tg.tensor(np.ones((2, 2)), requires_grad=True)
        self.layers = [{"w": tg.tensor(np.ones((2, 2)), requires_grad=True)} for _ in range(2)]

    def loss(self, x: Any) -> Any:
        return np.sum(np.exp(x @ self.w1) @ self.layers[0]["w"] @ self.layers[1]["w"])


def weights() -> tuple[Any, Any, Any]:
    w, v, x = (tg.tensor(np.full((2, 2), k), requires_grad=True) for k in (0.5, 1.5, -0.5))
    return w, v, x


def a_dict_in_a_dict() -> tuple[Any, list[str]]:
    p = dict(zip(("hidden", "out"), ({"w": w} for w in weights())))
    return tg.explain(np.sum(p["hidden"]["w"] @ p["out"]["w"])), ["hidden.w", "out.w"]


def a_list() -> tuple[Any, list[str]]:
    p = [*weights()]
    return tg.explain(np.sum(p[0] @ p[1])), ["p[0]", "p[1]"]


def containers_in_a_tuple() -> tuple[Any, list[str]]:
    p = tuple({"w": [w]} for w in weights())
    return tg.explain(np.sum(p[0]["w"][0] @ p[1]["w"][0])), ["p[0].w[0]", "p[1].w[0]"]


def an_argument() -> tuple[Any, list[str]]:
    p = dict(zip(("a", "b c"), weights()))
    return tg.explain(lambda p: np.sum(p["a"] @ p["b c"]), {**p}), ["a", "p['b c']"]


def an_object() -> tuple[Any, list[str]]:
    return tg.explain(ByHand().loss, np.ones((3, 2))), ["w1", "layers[0].w", "layers[1].w"]


@pytest.mark.parametrize("make", [a_dict_in_a_dict, a_list, containers_in_a_tuple, an_argument, an_object])
def test_what_is_in_a_container_is_named_by_its_path(make: Callable[[], tuple[Any, list[str]]]) -> None:
    lesson, names = make()
    assert [leaf.name for leaf in lesson.graph.leaves if leaf.requires_grad] == names
    assert all(name in str(lesson) for name in names)
    assert lesson.to_latex()


@pytest.mark.parametrize(("asks", "is_named"), [("_explained()", False), ("tg.explain(np.sum(held[0] * 2))", True)])
def test_a_library_is_looked_through_for_names_only_if_it_asks(asks: str, is_named: bool) -> None:
    """One that runs the user's program, such as pytest, holds thousands of objects."""
    _x = tg.tensor([1.0, 2.0], requires_grad=True)
    _scope = {"np": np, "tg": tg, "held": [_x], "_explained": lambda: tg.explain(np.sum(_x * 2))}
    exec(compile(f"_lesson = {asks}", f"{sysconfig.get_path('purelib')}/runner.py", "exec"), _scope)
    assert ("held[0]" in str(_scope["_lesson"])) == is_named


def _inner(w: Any, x: Any) -> Any:
    return np.sum(w * x * x)


@functools.wraps(_inner)
def _adding_an_argument(x: Any) -> Any:
    return _inner(3.0, x)


@pytest.mark.parametrize(
    "f", [_adding_an_argument, functools.partial(_inner, 3.0), functools.partial(_inner, w=3.0), tg.compile(np.sum)]
)
def test_functions_around_functions_are_explained(f: Callable[..., Any]) -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    lesson = tg.explain(f, x=x) if getattr(f, "keywords", None) else tg.explain(f, x)
    assert "a gradient for x" in str(lesson)


def test_tables_in_lists_are_not_looked_through_for_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script would do so at each of its passes, and take seconds for each."""
    looked: list[int] = []
    monkeypatch.setattr(origins, "children", lambda tree: looked.append(len(tree)) or children(tree))
    table = [[0.0] * 1000 for _ in range(1000)]
    lesson = tg.explain(lambda x: np.sum(x * table[0][0]), tg.tensor([1.0, 2.0], requires_grad=True))
    assert 1000 in looked
    assert sum(looked) < 10 * origins.ENTRIES < 1000 * 1000
    assert "result" in str(lesson)


def test_parameters_of_the_same_name_are_told_apart_by_their_models() -> None:
    encoder, decoder = (nn.Linear(2, 2, rng=k) for k in range(2))
    data = np.ones((3, 2))
    for lesson in (tg.explain(lambda: np.sum(decoder(encoder(data)))), tg.explain(np.sum(decoder(encoder(data))))):
        names = [leaf.name for leaf in lesson.graph.leaves if leaf.requires_grad]
        assert names == ["encoder.weight", "encoder.bias", "decoder.weight", "decoder.bias"]
        assert [leaf.module for leaf in lesson.graph.leaves if leaf.requires_grad] == [
            *["encoder"] * 2,
            *["decoder"] * 2,
        ]


def test_a_leaf_is_shown_as_it_was() -> None:
    w = tg.tensor([1.0, 2.0], requires_grad=True, name="w")
    loss = np.sum(w * w)
    with tg.no_grad():
        w -= 0.5
    lesson = tg.explain(loss)
    np.testing.assert_array_equal(lesson.graph.leaves[0].value, [1.0, 2.0])


@pytest.mark.parametrize("name", LESSONS)
def test_colour_where_there_is_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    lesson = LESSONS[name]() if name != "long" else scalar()
    plain = str(lesson)
    monkeypatch.delenv("NO_COLOR", raising=False)
    with contextlib.redirect_stdout(Terminal()) as terminal:
        print(lesson)
    assert "\033[1m" in terminal.getvalue()
    assert re.sub(r"\033\[\d+m", "", terminal.getvalue()) == f"{plain}\n"
    monkeypatch.setenv("NO_COLOR", "1")
    with contextlib.redirect_stdout(Terminal()) as terminal:
        print(lesson)
    assert terminal.getvalue() == f"{plain}\n"


def freed() -> tg.Tensor:
    x = tg.tensor(2.0, requires_grad=True)
    y = x * x
    y.backward()
    return y


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: np.ones(3), UsageError, "such as a loss; got ndarray: compute it from real numbers"),
        (lambda: lambda: np.sum(np.ones(3)), UsageError, "such as a loss; got float64: compute it from real numbers"),
        (lambda: lambda: (tg.tensor(1.0), 2.0), UsageError, "got tuple of tensors: explain one of them, or their sum"),
        (lambda: lambda: {"loss": tg.tensor(1.0)}, UsageError, "got dict of tensors: explain one of them"),
        (lambda: lambda: None, UsageError, "such as a loss; got NoneType$"),
        (lambda: nn.Linear(2, 1), UsageError, r"explain calls Linear .* tg\.explain\(model, x\); there are 0: missing"),
        (lambda: nn.Linear, UsageError, "got the class Linear: call it to make one"),
        (
            lambda: np.fft.fft(tg.tensor([1.0, 2.0], requires_grad=True)),
            UsageError,
            "needs a real tensor.*this is complex128: take np.real or np.abs",
        ),
        (lambda: tg.tensor(2.0), GraphError, "nothing to explain"),
        (lambda: np.sum(tg.tensor([1.0, 2.0], requires_grad=True) > 1), GraphError, "comparisons, argmax and the like"),
        (lambda: tg.tensor(2.0, requires_grad=True), GraphError, "no operation made it"),
        (freed, GraphError, "freed by an earlier backward pass"),
        (lambda: tg.tensor(np.ones((0, 2)), requires_grad=True) * 2, InputError, r"empty \(shape \(0, 2\)\)"),
    ],
)
def test_bad_input(make: Callable[[], Any], kind: type[TinygradError], message: str) -> None:
    result = make()
    for look in (tg.explain, lambda result: next(tg.backward_steps(result))):
        with pytest.raises(kind, match=message):
            look(result)


def test_a_function_that_returns_no_tensor() -> None:
    with pytest.raises(UsageError, match="got float"):
        tg.explain(lambda: 3.0)


@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
def test_nan_is_shown_as_it_is() -> None:
    x = tg.tensor([-1.0, 4.0], requires_grad=True, name="x")
    text = str(tg.explain(np.sum(np.sqrt(x))))
    assert "[nan,  2.]" in text
    assert "∂result/∂x = [ nan, 0.25]" in text


def under_no_grad(h: Any) -> Any:
    with tg.no_grad():
        return np.exp(h)


@pytest.mark.parametrize(
    ("cut", "told"),
    [
        (lambda h: h.detach(), "t2 is detached, at (2)"),
        (tg.stop_gradient, "t2 is detached, at (2)"),
        (under_no_grad, "exp was computed under no_grad(), at (2)"),
        (lambda h: h.astype(int), "cast makes int64 of it, which has no gradient, at (2)"),
        (lambda h: h > 1.5, "greater answers a question, and no gradient flows through that, at (2)"),
    ],
)
def test_a_leaf_that_is_cut_off(cut: Callable[[Any], Any], told: str) -> None:
    """The warning names the operation after which nothing knows of the leaf any more."""
    w, v = (tg.tensor([1.0, 2.0], requires_grad=True, name=name) for name in "wv")
    text = tg.explain(lambda: np.sum(cut(w * 1.5) * v)).to_text()
    assert f"  w: no gradient: {told}\n" in text, text
    assert "and a gradient for v\n" in text


@pytest.mark.parametrize(
    ("cut", "told"),
    [
        (lambda h: h.numpy(), "the result of multiply was detached, by detach(), numpy() or .data, before it met"),
        (lambda h: h.data, "the result of multiply was detached, by detach(), numpy() or .data, before it met"),
        (lambda h: tg.tensor(h.numpy()), "the result of multiply became plain numbers, which have no history, at"),
        (lambda h: tg.tensor(h.numpy(), requires_grad=True), "the result of multiply became plain numbers"),
        (lambda h: h.numpy() * 2, "the result of multiply became plain numbers"),
        (lambda h: float(np.sum(h)), "the result of sum became plain numbers"),
        (lambda h: np.array(h.tolist()), "the result of multiply became plain numbers"),
        (lambda h: 1.0, None),  # which computes a value for something else
    ],
)
def test_a_leaf_whose_numbers_alone_are_in_the_graph(cut: Callable[[Any], Any], told: str | None) -> None:
    w, v = (tg.tensor([1.0, 2.0], requires_grad=True, name=name) for name in "wv")
    lesson = tg.explain(lambda: np.sum(cut(w * 1.5) * v))
    warnings = lesson.to_text().split("Forward")[0].split("Warnings\n")[1:]
    if told is None:
        assert not warnings
    else:
        assert f"  w: no gradient: {told}" in warnings[0]
        assert "test_lesson.py" in warnings[0] or "before it met" in warnings[0]


def test_of_two_models_each_leaf_that_is_cut_off_is_named_after_its_own() -> None:
    """The weights of a target network are not those of the model that learns, though both are named weight."""
    model, target, x = (nn.Linear(2, 2, rng=0), nn.Linear(2, 2, rng=1), np.ones((3, 2)))
    text = tg.explain(lambda: np.sum((model(x) - target(x).numpy()) ** 2)).to_text()
    assert "a gradient for model.weight, model.bias\n" in text
    assert "  target.weight and target.bias: no gradient: " in text


class Forgetful(nn.Module):
    def __init__(self) -> None:
        self.used, self.forgotten, self.frozen = (nn.Linear(2, 2, rng=k) for k in range(3))
        self.frozen.requires_grad_(False)

    def forward(self, x: Any) -> Any:
        return self.used(x)


def test_a_layer_that_its_model_does_not_use() -> None:
    """Of a model that is called itself; others may be there for something else, and so may what is passed instead."""
    model, x = Forgetful(), np.ones((3, 2))
    told = "forgotten.weight and forgotten.bias: no gradient: unused: no operation on tensors takes it\n"
    assert told in tg.explain(lambda: np.sum(model(x) ** 2)).to_text()
    weights = {name: tg.tensor(w.numpy(), requires_grad=True) for name, w in model.named_parameters()}
    a_part = tg.explain(lambda: np.sum(model.used(x) ** 2))
    other_weights = tg.explain(lambda: np.sum(nn.functional_call(model, weights, x) ** 2))
    for lesson in (a_part, other_weights):
        assert "Warnings" not in lesson.to_text()


@pytest.mark.parametrize("write", ["to_html", "to_svg", "to_dot", "to_mermaid", "to_latex"])
def test_a_path_that_cannot_be_written(write: str, tmp_path: Path) -> None:
    """No half-written file is left, and one that was there stays."""
    lesson = scalar()
    missing = tmp_path / "missing" / "lesson.html"
    with pytest.raises(FileError, match=re.escape(f"cannot write {missing}")):
        getattr(lesson, write)(missing)
    folder = tmp_path / "folder"
    (folder / "kept").mkdir(parents=True)
    with pytest.raises(FileError, match="cannot write"):
        getattr(lesson, write)(folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder"]
    path = tmp_path / "lesson.html"
    path.write_text("before")
    getattr(lesson, write)(path)
    assert path.read_text(encoding="utf-8") != "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "lesson.html"]


def test_the_optimiser_is_not_touched(tmp_path: Path) -> None:
    w = tg.tensor([1.0, 2.0], requires_grad=True, name="w")
    optimizer = tg.optim.Adam([w], lr=0.1)
    tg.explain(np.sum(w * w)).to_html(tmp_path / "lesson.html", optimizer=optimizer)
    assert optimizer.state == {w: {}}
    assert w.grad is None
    np.testing.assert_array_equal(w.numpy(), [1.0, 2.0])


def test_arrays_of_other_libraries() -> None:
    dask = pytest.importorskip("dask.array")
    x = tg.tensor(dask.ones((4, 3), chunks=2) * 2, requires_grad=True, name="x")
    lesson = tg.explain(np.sum(x * x))
    np.testing.assert_array_equal(lesson.backward.gradients[lesson.graph.leaves[0]], np.full((4, 3), 4.0))


def test_functions_that_have_run_are_not_run_again(tmp_path: Path) -> None:
    """What stands for a run, as a compiled function's result does, is shown as it was, and never computed anew."""
    w = tg.tensor([1.0, 2.0], requires_grad=True, name="w")
    lesson = tg.explain(tg.compile(lambda x: np.sum(x @ w), backend="numpy")(np.eye(2)))
    assert "itself computes it" in str(lesson)
    lesson.to_html(tmp_path / "lesson.html", optimizer=tg.optim.SGD([w], lr=0.1))
    assert "it stands for a function that has already run" in (tmp_path / "lesson.html").read_text()


def test_second_derivatives() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True, name="x")
    (x**3).sum().backward(create_graph=True)
    assert x.grad is not None
    lesson = tg.explain(np.sum(x.grad))
    np.testing.assert_allclose(lesson.backward.gradients[lesson.graph.leaves[0]], [6.0, 12.0])


def test_arrays_that_change_between_their_uses_are_two() -> None:
    w = tg.tensor([1.0, 1.0], requires_grad=True, name="w")
    array = np.array([1.0, 2.0])
    y = w * array
    array += 10
    lesson = tg.explain(np.sum(y * array))
    by_name = {node.name: node.value.tolist() for node in lesson.graph.leaves}
    assert by_name == {"w": [1.0, 1.0], "array": [1.0, 2.0], "array_2": [11.0, 12.0]}
    with tg.no_grad():
        w -= 0.5
    lesson = tg.explain(np.sum(y * w))
    assert [leaf.name for leaf in lesson.graph.leaves] == ["w", "array", "w_2"]
    with pytest.raises(InputError, match="changed between two of its uses"):
        lesson.to_html("never.html", optimizer=tg.optim.SGD([w]))
    assert not Path("never.html").exists()


def test_a_tensor_may_be_called_g() -> None:
    g = tg.tensor([1.0, 2.0], requires_grad=True)
    w = tg.tensor([3.0, 4.0], requires_grad=True)
    lesson = tg.explain(np.sum(g * w))
    assert "to w: upstream · g" in str(lesson)
    assert r"\overline{w} = \overline{t_{1}} \odot g" in lesson.to_latex().replace("&", "")


@pytest.mark.parametrize("read", [lambda g: g[:2], lambda g: g[np.array([0, 0, 1])], lambda g: np.split(g, 2)[0]])
def test_a_tensor_called_g_is_never_the_upstream_gradient(read: Callable[[Any], Any]) -> None:
    g = tg.tensor([1.0, 2.0], requires_grad=True)
    text = str(tg.explain(np.sum(read(g) ** 2)))
    assert "to g: upstream where the entries were taken from, 0 elsewhere" in text


@pytest.mark.parametrize("name", COMPLEX)
def test_the_real_part_is_taken_where_an_input_is_real(name: str) -> None:
    """What is printed is an equation: a complex product is no real number."""
    lesson = COMPLEX[name]()
    text = str(lesson)
    taken = [each for step in lesson.backward.steps for each in step.contributions if each.takes_real_part]
    assert taken or name == "spectral line", "an inverse transform to real numbers is real by itself"
    assert text.count("being real, takes the real part") == len(taken)
    for product in re.findall(r"upstream × local = (.*?), (?:of which|since)", text):
        left, right, result = (complex(x) for x in re.split(" × | = ", product))
        assert left * right == pytest.approx(result, rel=1e-4)


def test_axes_are_counted() -> None:
    x, b = tg.tensor(np.ones((2, 3, 4)), requires_grad=True, name="x"), tg.tensor(1.0, requires_grad=True, name="b")
    assert "the sum over axes 0, 1, 2" in str(tg.explain(np.sum(x * b)))


def test_a_mean_that_rounding_leaves_is_zero() -> None:
    x = np.random.default_rng(0).normal(size=(5, 8))
    for dtype in ("f4", "f8"):
        assert "mean 0," in brief((x - x.mean(axis=1, keepdims=True)).astype(dtype))
    assert "mean 1e-12," in brief(np.full(20, 1e-12)), "of small numbers it is no rounding"


@pytest.mark.parametrize(
    ("read", "formula"),
    [
        (lambda x: np.split(x, 2)[0], "x[:2]"),
        (lambda x: np.split(x, 2)[1], "x[2:]"),
        (lambda x: np.flip(x), "x[::-1, ::-1]"),
        (lambda x: x[1:3:2, 0:3], "x[1:3:2]"),
        (lambda x: x[..., 0:2], "x[..., 0:2]"),
        (lambda x: x[3:0:-1], "x[:0:-1]"),
        (lambda x: x[0:4:1], "x[:]"),
    ],
)
def test_slices_are_written_as_a_person_writes_them(read: Callable[[Any], Any], formula: str) -> None:
    x = tg.tensor(np.arange(12.0).reshape(4, 3), requires_grad=True, name="x")
    (operation,) = tg.explain(read(x)).graph.operations
    assert notation.text(operation.formula) == formula
    np.testing.assert_array_equal(eval(formula, {"x": x.data}), operation.value)


def test_small_numbers_stay() -> None:
    x = tg.tensor([1e-4, 2e-4], requires_grad=True, name="x")
    assert "∂result/∂x = [3.0e-08, 1.2e-07]" in str(tg.explain(np.sum(x**3)))


def test_long_rules_are_not_printed() -> None:
    x = tg.tensor(np.linspace(1, 2, 12), requires_grad=True, name="x")
    text = str(tg.explain(np.prod(x)))
    counted = re.search(r"a rule of ([\d,]+) operations, too long to print", text)
    assert counted
    assert int(counted[1].replace(",", "")) < 200, "an operation whose result is used twice counts once"
    assert max(map(len, text.splitlines())) < 400
    recurrent = str(tg.explain(np.sum(nn.LSTM(3, 5, rng=0)(np.ones((6, 2, 3)))[0])))
    assert all(int(n.replace(",", "")) < 1000 for n in re.findall(r"a rule of ([\d,]+) operations", recurrent))


def test_the_page_of_a_long_sequence_has_no_formula_that_grows_with_it(tmp_path: Path) -> None:
    layer = nn.LSTM(3, 2, rng=0)
    sizes = []
    for steps in (4, 30):
        tg.explain(np.mean(layer(np.ones((steps, 2, 3)))[0])).to_html(tmp_path / "lesson.html")
        sizes.append((tmp_path / "lesson.html").stat().st_size)
    assert sizes[1] < 2 * sizes[0]


def test_masks_are_operations_where_they_were_seen() -> None:
    x = tg.tensor([1.0, -2.0], requires_grad=True, name="x")
    lesson = tg.explain(lambda: np.sum(x * (x > 0)))
    assert [str(node.op) for node in lesson.graph.operations] == ["greater", "multiply", "sum"]
    assert "(1) t1 = x > 0" in str(lesson)


def test_the_text_has_no_colours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lesson = scalar()
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert "\033" not in lesson.to_text(tmp_path / "lesson.txt")
    assert (tmp_path / "lesson.txt").read_text(encoding="utf-8") == lesson.to_text()


@pytest.mark.slow
def test_large_lessons_are_made_in_time(tmp_path: Path) -> None:
    """What is quadratic shows in memory and in the size of what is made: not here."""
    leaves = [tg.tensor(float(k), requires_grad=True) for k in range(300)]
    stacked = tg.explain(np.sum(np.stack(leaves)))
    stacked.to_html(tmp_path / "lesson.html")
    assert (tmp_path / "lesson.html").stat().st_size < 1_000_000
    y = w = tg.tensor(1.01, requires_grad=True, name="w")
    for _ in range(1000):
        y = y * w
    assert len(tg.explain(y).to_svg()) < 3_000_000


def test_what_is_wrong_comes_first() -> None:
    x = tg.tensor([1.0, -2.0], requires_grad=True, name="x")
    text = str(tg.explain(np.sum(np.maximum(x, 0))))
    assert "dead ReLU: its input is at most 0, for 1 of 2 units" in text.partition("Forward")[0], "it has no rows"


def test_a_long_lesson_shows_both_ends() -> None:
    text = str(long(1_000))
    assert "… 1,960 more operations" in text
    assert "(1) t1 = sin(x)" in text
    assert text.count("\n") < 400


def test_what_is_no_optimiser_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"one of tg\.optim, such as .*; got 'adam'"):
        scalar().to_html(tmp_path / "lesson.html", optimizer="adam")  # type: ignore[arg-type]


def test_what_rounding_leaves_is_zero() -> None:
    lesson = attention()
    text = str(lesson)
    bias = next(leaf for leaf in lesson.graph.leaves if leaf.name == "attention.key.bias")
    assert np.any(lesson.backward.gradients[bias]), "the numbers themselves are left as they are"
    assert "∂_attention_loss/∂attention.key.bias = [0., 0., 0., 0.] but for rounding" in text
    assert "attention.key.bias: zero gradient" in text
    assert "vanishing" not in text
    assert "-0." not in re.sub(r"-0\.\d", "", str(tg.explain(-1.0 * tg.tensor([0.0], requires_grad=True))))


def test_truths_are_numbers() -> None:
    x = tg.tensor([-1.0, 2.0], requires_grad=True, name="x")
    assert "× local           [0., 1.], since" in str(tg.explain(np.sum(nn.functional.relu(x))))


def test_broadcasting_in_latex() -> None:
    x = tg.tensor([[1.0, 2.0]], requires_grad=True, name="x")
    lesson = tg.explain(np.sum(x))
    assert r"\overline{\text{result}} \, \mathbf{1}_{1 \times 2}" in lesson.to_latex()
    assert r"\operatorname{broadcast}_{3 \times 2}\left(x\right)" in tg.explain(np.broadcast_to(x, (3, 2))).to_latex()


@pytest.mark.parametrize(
    "f",
    [
        lambda x: nn.functional.max_pool2d(x, 3, 2, 1),
        lambda x: nn.functional.max_pool2d(x, 4, 3, 1, ceil_mode=True),
        lambda x: np.maximum(np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf), 0),
        lambda x: nn.functional.softmax(np.where(np.tri(6) > 0, x, -np.inf)),
    ],
    ids=["pooling", "pooling beyond the end", "padding", "mask"],
)
def test_an_infinity_that_was_asked_for_is_no_warning(f: Callable[[Any], Any]) -> None:
    x = tg.tensor(np.random.default_rng(0).normal(size=(1, 2, 6, 6)), requires_grad=True)
    assert "from finite numbers" not in tg.explain(np.sum(f(x) ** 2)).to_text()
    with np.errstate(invalid="ignore"):
        assert "from finite numbers, sqrt makes" in tg.explain(np.sum(np.sqrt(-1 - f(x) ** 2))).to_text()


COPIES: dict[str, Callable[[nn.Module], nn.Module]] = {
    "the layer": lambda layer: layer,
    "copy": copy.deepcopy,
    "pickle": lambda layer: pickle.loads(pickle.dumps(layer)),
    "in a list": lambda layer: nn.TransformerEncoder(nn.TransformerEncoderLayer(3, 1, 2, dropout=0.0), 2, norm=layer),
    "float": lambda layer: copy.deepcopy(layer).float(),
}


@pytest.mark.parametrize("name", COPIES)
def test_copies_of_parameters_are_leaves(name: str) -> None:
    """They were not computed from other values, so that they may be changed."""
    model = COPIES[name](nn.LayerNorm(3))
    assert tg.explain(lambda: np.sum(model(np.eye(3, dtype="f4")) ** 2)).graph.frozen is None


def test_a_function_for_arrays_is_explained_with_its_real_arguments_as_variables() -> None:
    def penalised(weights: Any, shift: Any, counts: Any) -> Any:
        return np.sum((weights["a"][0] - counts) ** 2) + shift * 3

    weights, counts = {"a": [np.array([1.0, 2.0])]}, np.array([1, 4])
    lesson = tg.explain(penalised, weights, shift=0.5, counts=counts)
    text = str(lesson)
    assert "a gradient for" in text
    assert "∂penalised/∂shift = 3" in text
    assert "∂penalised/∂a[0] = [ 0., -4.]" in text
    assert "∂penalised/∂counts" not in text
    assert type(weights["a"][0]) is np.ndarray
