"""Quick ways to run again, in any order with everything else that may happen in between, beside eager mode."""

import timeit
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.marks import param
from tinygrad_lite import nn, optim, trees
from tinygrad_lite.compiler.compiled import Compiled
from tinygrad_lite.compiler.native.references import References
from tinygrad_lite.nn import functional as F

OPTIMIZERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "sgd": lambda p: optim.SGD(p, lr=0.002),
    "momentum": lambda p: optim.SGD(p, lr=0.002, momentum=0.9),
    "adam": lambda p: optim.Adam(p, lr=0.01),
}


class World:
    """A model in training, with what a loop around it may do."""

    def __init__(self, backend: str | None, optimizer: str, zeroes: bool) -> None:
        self.model = model = nn.Sequential(nn.Linear(3, 4, rng=0), nn.Tanh(), nn.Linear(4, 1, rng=1))
        self.parameters = list(model.parameters())
        self.optimizer = made = OPTIMIZERS[optimizer](self.parameters)
        made.lr *= 1.0 if zeroes else 0.03  # or the gradients that add up would make the model diverge
        self.held: list[tuple[Any, Any]] = []
        self.kept = model.state_dict()

        def step(x: Any, target: Any) -> Any:
            if zeroes:
                made.zero_grad()
            loss = F.mse_loss(model(x), target)
            loss.backward()
            made.step()
            return loss

        def in_a_dict(batch: dict[str, Any]) -> Any:
            return step(*batch["rows"])

        self.step = step if backend is None else tg.compile(step, backend)
        self.in_a_dict = in_a_dict if backend is None else tg.compile(in_a_dict, backend)

    def hold(self, array: Any) -> None:
        self.held.append((array, np.copy(array)))

    def act(self, action: str, x: Any, target: Any) -> Any:
        weight = self.parameters[0]
        if action == "step":
            return self.step(x, target)
        if action == "keywords":
            return self.step(target=target, x=x)
        if action == "dict":
            return self.in_a_dict({"rows": [x, target]})
        if action == "fortran":
            return self.step(np.asfortranarray(x), target)
        if action == "slice":
            return self.step(np.repeat(x, 2, axis=1)[:, ::2], target)
        if action == "tensors":
            return self.step(tg.tensor(x), tg.tensor(target))
        if action == "repeat" and hasattr(self.step, "repeat"):
            return self.step.repeat(3, x, target)[-1]
        if action == "repeat":
            return [self.step(x, target) for _ in range(3)][-1]
        if action == "hold weight":
            self.hold(weight.data)
        if action == "hold a view":
            self.hold(weight.numpy()[1:])
        if action == "hold gradient" and weight.grad is not None:
            self.hold(weight.grad.data)
        if action == "hold gradient tensor" and weight.grad is not None:
            self.held.append((weight.grad, weight.grad.numpy().copy()))
        if action == "let go":
            self.check_held()
            self.held.clear()
        if action == "zero":
            self.model.zero_grad()
        if action == "eager":
            loss = np.sum(self.model(x) ** 2)
            loss.backward()
            self.optimizer.step()
        if action == "load":
            self.model.load_state_dict(self.kept)
        if action == "by hand":
            for parameter in self.parameters:
                parameter.data = parameter.data * 0.9
        if action == "freeze":
            self.parameters[1].requires_grad = not self.parameters[1].requires_grad
        return None

    def check_held(self) -> None:
        for array, before in self.held:
            np.testing.assert_array_equal(array.numpy() if isinstance(array, tg.Tensor) else array, before)

    def state(self) -> list[Any]:
        gradients = [None if p.grad is None else p.grad.numpy().copy() for p in self.parameters]
        return [*[p.numpy() for p in self.parameters], *gradients, *trees.leaves([*self.optimizer.state.values()])]


STEPS = ["step"] * 6 + ["keywords", "dict", "fortran", "slice", "tensors", "repeat"]
OTHERS = ["hold weight", "hold a view", "hold gradient", "hold gradient tensor", "let go"]
OTHERS += ["zero", "eager", "load", "by hand", "freeze"]


@pytest.mark.filterwarnings("ignore:.*was recorded 5 times", "ignore:.*no gradient for parameter")
@pytest.mark.parametrize(
    ("optimizer", "zeroes"),
    [param(name, zeroes, slow=(name, zeroes) != ("sgd", True)) for name in OPTIMIZERS for zeroes in (True, False)],
)
def test_any_order(backend: str, optimizer: str, zeroes: bool) -> None:
    rng = np.random.default_rng(0)
    eager, compiled = World(None, optimizer, zeroes), World(backend, optimizer, zeroes)
    for _ in range(250):
        rows = int(rng.choice([5, 5, 3]))
        action = str(rng.choice(STEPS if rng.random() < 0.7 else OTHERS))
        x, target = rng.normal(size=(rows, 3)), rng.normal(size=(rows, 1))
        expected, found = eager.act(action, x, target), compiled.act(action, x, target)
        if expected is not None:
            np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-7, atol=1e-10)
        for a, b in zip(compiled.state(), eager.state(), strict=True):
            assert (a is None) == (b is None), action
            if b is not None:
                np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-10, err_msg=action)
        compiled.check_held()
        tensors = [x for p in compiled.parameters for x in (p, p.grad) if x is not None]
        assert not any(x.data.flags.writeable for x in tensors), action


HELD: dict[str, Callable[[Any], Any]] = {"part": lambda p: p[0].numpy()[1:], "last": lambda p: p[-1].data}


@pytest.mark.parametrize("held", HELD)
def test_whatever_others_hold(backend: str, held: str) -> None:
    world = World(backend, "sgd", True)
    rng = np.random.default_rng(0)
    x, target = rng.normal(size=(5, 3)), rng.normal(size=(5, 1))
    for turn in range(9):
        world.step(x, target)
        if turn % 3 == 2:
            world.hold(HELD[held](world.parameters))
        world.check_held()


@pytest.mark.parametrize("held", [lambda p: p.numpy(), lambda p: p.numpy()[:1], lambda p: p.data, lambda p: p.grad])
def test_a_value_that_others_hold_moves_alone_and_its_entry_goes_on(held: Callable[[Any], Any]) -> None:
    """Nothing is linked, recorded or written anew, which would take as long as a hundred steps."""
    world = World("native", "adam", True)
    rng = np.random.default_rng(0)
    x, target = rng.normal(size=(5, 3)), rng.normal(size=(5, 1))
    for _ in range(4):
        world.step(x, target)
    entry, executor = world.step._entry[1], world.step._latest.executor
    kept: list[tuple[Any, Any]] = []
    for turn in range(20):
        mine = held(world.parameters[0])
        kept.append((mine, np.array(tg.tensor(mine))))
        moves = executor.moves
        world.step(x, target)
        assert executor.moves == moves + 1
        assert world.step._entry[1] is entry
        if turn % 5 == 4:
            for array, before in kept:
                np.testing.assert_array_equal(tg.tensor(array), before)
            kept.clear()
    del mine
    world.step(x, target)
    moves = executor.moves
    world.step(x, target)
    assert executor.moves == moves


PARTS: dict[str, Callable[[Any], Any]] = {
    "array": lambda p: p.numpy(),
    "part": lambda p: p.numpy()[:1],
    "part of a part": lambda p: p.numpy()[1:].T[:, :1],
    "buffer": lambda p: memoryview(p.numpy()),
    "tensor": lambda p: p.detach(),
    "gradient": lambda p: p.grad,
    "part of a gradient": lambda p: p.grad.numpy()[1:],
}


@pytest.mark.parametrize("held", PARTS)
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_what_others_hold_for_some_steps_keeps_its_entries(held: str, steps: int) -> None:
    """A value moves back to the memory that it had before once nobody holds the array there, and not sooner."""
    world = World("native", "adam", True)
    rng = np.random.default_rng(0)
    x, target = rng.normal(size=(5, 3)), rng.normal(size=(5, 1))
    kept: deque[tuple[Any, Any]] = deque(maxlen=steps)
    addresses = set()
    for turn in range(20):
        world.step(x, target)
        if turn > 3:
            mine = PARTS[held](world.parameters[0])
            kept.append((mine, np.array(mine.obj if held == "buffer" else tg.tensor(mine).numpy())))
            addresses.add(world.parameters[0].numpy().ctypes.data)
            del mine
        for array, before in kept:
            np.testing.assert_array_equal(np.asarray(array) if held == "buffer" else tg.tensor(array).numpy(), before)
    if "gradient" not in held:
        assert (len(addresses) > 3) == (steps > 1)


def test_programs_that_take_turns_take_back_their_arrays() -> None:
    """Without being entered anew, which would take as long as many steps."""
    world = World("native", "sgd", True)
    rng = np.random.default_rng(0)
    batches = [(rng.normal(size=(n, 3)), rng.normal(size=(n, 1))) for n in (5, 3)]
    for _ in range(3):
        for batch in batches:
            world.step(*batch)
    before = dict(world.step._entries[2,])
    for _ in range(20):
        for batch in batches:
            world.step(*batch)
    assert world.step._entries[2,] == before


SHAPES: list[tuple[int, ...]] = [(), (1,), (4,), (3, 4), (1, 4), (0, 4), (2, 3, 4)]
MISFITS: dict[str, Callable[[Any], Any]] = {
    "shape": lambda x: np.zeros((*x.shape, 2), x.dtype),
    "length": lambda x: np.zeros([n + 1 for n in x.shape] or [1], x.dtype),
    "dtype": lambda x: x.astype(np.float32 if x.dtype == np.float64 else np.float64),
    "byte order": lambda x: x.astype(x.dtype.newbyteorder()),
    "class": lambda x: np.ma.array(x),
    "number": lambda x: 2.0,
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.complex128, np.bool_])
def test_a_program_takes_arrays_of_any_layout_into_its_memory(dtype: Any) -> None:
    pytest.importorskip("llvmlite", reason="native code comes with the extra `compile`")
    from tinygrad_lite.compiler.native.copying import taking

    rng = np.random.default_rng(0)
    sources = [np.asarray(rng.integers(2, size=shape), dtype) for shape in SHAPES]
    for laid_out in (
        np.array,
        lambda x: np.array(x, order="F"),
        lambda x: np.repeat(x, 2, axis=-1)[..., ::2] if x.ndim else x,
    ):
        targets = [np.zeros(shape, dtype) for shape in SHAPES]
        pairs = [x for source, target in zip(sources, targets) for x in (laid_out(source), target)]
        assert not taking(targets)(*pairs)
        for source, target in zip(sources, targets):
            np.testing.assert_array_equal(target, source)


@pytest.mark.parametrize("name", MISFITS)
def test_a_program_takes_nothing_if_an_array_does_not_fit(name: str) -> None:
    pytest.importorskip("llvmlite", reason="native code comes with the extra `compile`")
    from tinygrad_lite.compiler.native.copying import taking

    for shape in SHAPES:
        targets = np.zeros(2), np.zeros(shape)
        assert taking(targets)(np.ones(2), targets[0], MISFITS[name](np.ones(shape)), targets[1])
        assert not any(target.any() for target in targets)


FORMS: dict[str, Callable[[Any, Any], Callable[[], Any]]] = {
    "keywords": lambda f, x: lambda: f(x=x),
    "dict": lambda f, x: lambda: f({"a": x, "b": [x, x]}),
    "layout": lambda f, x: lambda: f(x[::-1]),
    "shapes": lambda f, x: lambda: f(x) + f(x[:3]),
}


@pytest.mark.parametrize("name", FORMS)
def test_other_forms_have_entries_too(backend: str, name: str) -> None:
    """A call without an entry takes more than ten times as long."""
    leaf = lambda x: x["a"] if isinstance(x, dict) else x  # noqa: E731
    f = tg.compile(lambda x: np.sum(leaf(x) * 2.0), backend)
    x = np.ones((8, 2))
    call, plain = FORMS[name](f, x), lambda: (f(x), f(x))
    for function in (call, plain):
        for _ in range(4):
            function()
    quick, other = (min(timeit.repeat(function, number=50, repeat=40)) for function in (plain, call))
    assert other < 2 * quick + 2e-4  # two calls, and some time for the copy of an array


class Branches(nn.Module):
    """A model, part of which may get no gradient."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.head, self.other = nn.Linear(3, 2, rng=0), nn.Linear(3, 2, rng=1)
        for parameter in self.other.parameters():
            parameter.requires_grad = kind != "frozen"

    def forward(self, x: Any) -> Any:
        if self.kind == "unused":
            return self.head(x)
        other = self.other(x)
        return self.head(x) + (other.detach() if self.kind == "detached" else other)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:.*no gradient for parameter:UserWarning")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("kind", ["frozen", "unused", "detached"])
@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_a_part_without_gradients(backend: str, kind: str, optimizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def trained(backend: str | None) -> tuple[nn.Module, Any]:
        model = Branches(kind)
        made = OPTIMIZERS[optimizer](model.parameters())

        def step(x: Any, target: Any) -> Any:
            made.zero_grad()
            loss = F.mse_loss(model(x), target)
            loss.backward()
            made.step()
            return loss

        return model, tg.compile(step, backend) if backend else step

    (model, step), (other, eager) = trained(backend), trained(None)
    rng = np.random.default_rng(0)
    for turn in range(6):
        if turn == 3:  # there is an entry by now
            monkeypatch.setattr(Compiled, "fitting", lambda *_: pytest.fail("the program is looked for"))
        if turn == 4:  # a gradient from elsewhere, which the step leaves out
            monkeypatch.undo()
            model.other.weight.grad = tg.tensor(np.ones((2, 3)))
            other.other.weight.grad = tg.tensor(np.ones((2, 3)))
        x, target = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
        np.testing.assert_allclose(step(x, target).item(), eager(x, target).item(), rtol=1e-10)
        for a, b in zip(model.parameters(), other.parameters()):
            np.testing.assert_allclose(a.data, b.data, rtol=1e-10)
            assert (a.grad is None) == (b.grad is None)
            if a.grad is not None and b.grad is not None:
                np.testing.assert_allclose(a.grad.data, b.grad.data, rtol=1e-10, atol=1e-14)


def test_a_compiled_function_says_what_it_is() -> None:
    def square(x: Any) -> Any:
        return x * x

    f = tg.compile(square, "numpy")
    assert repr(f) == "<compiled square, numpy, 0 programs>"
    f(np.ones(2))
    assert repr(f) == "<compiled square, numpy, 1 program>"


def test_references_are_counted_natively() -> None:
    things = [np.zeros(3), tg.tensor([1.0])]
    references, held = References(things), []
    assert references.differ() is False
    for i in range(2):
        held.append(things[i])
        assert references.differ() is True
        held.clear()
        assert references.differ() is False
    other = np.zeros(3)
    references.replace(0, other)
    held.append(things[0])  # which is no longer counted
    assert references.differ() is False
    held.append(other)
    assert references.differ() is True
