"""Programs that take the same weights, gradients and state of optimisers in turns, beside eager mode."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.marks import spread
from tinygrad_lite import nn, optim, trees
from tinygrad_lite.compiler.compiled import Compiled
from tinygrad_lite.nn import functional as F

RNG = np.random.default_rng(0)
INPUTS, TARGETS = RNG.normal(size=(6, 5, 3)), RNG.normal(size=(6, 5, 2))

Call = Callable[[int], Any]
Programs = tuple[Call, list[nn.Module], list[optim.Optimizer]]
"""A turn, the models and the optimisers."""


def network(rng: int = 0) -> nn.Module:
    layers = [nn.Linear(a, b, rng=rng + i) for i, (a, b) in enumerate([(3, 4), (4, 4), (4, 2)])]
    return nn.Sequential(layers[0], nn.Tanh(), layers[1], nn.Tanh(), layers[2])


def a_count(compiled: Any) -> Programs:
    model = network()
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    count = {"steps": 0}

    @compiled
    def step(x: Any, target: Any) -> Any:
        loss = F.mse_loss(model(x), target)
        loss.backward()
        count["steps"] += 1
        if count["steps"] % 3 == 0:
            optimizer.step()
            optimizer.zero_grad()
        return loss

    return lambda i: step(INPUTS[i % 6], TARGETS[i % 6]), [model], [optimizer]


class Scaled(nn.Module):
    """A model with a number, and with a gradient whose entries lie in another order than those of its weight."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = tg.tensor(1.5, requires_grad=True)
        self.weight = tg.tensor(np.arange(6.0).reshape(2, 3) / 6, requires_grad=True)

    def forward(self, x: Any) -> Any:
        return self.scale * np.tanh(x @ self.weight.T)


def two_functions(
    compiled: Any, to_none: bool = True, clips: bool = False, every: int = 3, kind: Any = network
) -> Programs:
    model = kind()
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    @compiled
    def add_gradients(x: Any, target: Any) -> Any:
        loss = F.mse_loss(model(x), target)
        loss.backward()
        return loss

    @compiled
    def update() -> Any:
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0) if clips else None
        optimizer.step()
        optimizer.zero_grad(set_to_none=to_none)
        return norm

    def turn(i: int) -> Any:
        loss = add_gradients(INPUTS[i % 6], TARGETS[i % 6])
        return loss, update() if i % every == every - 1 else None

    return turn, [model], [optimizer]


def zeros_first(compiled: Any) -> Programs:
    model = network()
    optimizer = optim.Adam(model.parameters(), lr=0.01)

    @compiled
    def gradients(x: Any, target: Any) -> Any:
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), target)
        loss.backward()
        return loss

    update = compiled(optimizer.step)

    def turn(i: int) -> Any:
        loss = gradients(INPUTS[i % 6], TARGETS[i % 6])
        update()
        return loss

    return turn, [model], [optimizer]


def two_models(compiled: Any) -> Programs:
    """A generator's step adds to the gradients of the discriminator, too, which the next step drops."""
    generator, discriminator = network(0), nn.Linear(2, 1, rng=5)
    optimizers = [optim.SGD(model.parameters(), lr=0.01, momentum=0.5) for model in (generator, discriminator)]

    @compiled
    def judge(real: Any, noise: Any) -> Any:
        optimizers[1].zero_grad()
        loss = np.mean(F.softplus(-discriminator(real)) + F.softplus(discriminator(generator(noise).detach())))
        loss.backward()
        optimizers[1].step()
        return loss

    @compiled
    def forge(noise: Any) -> Any:
        optimizers[0].zero_grad()
        loss = np.mean(F.softplus(-discriminator(generator(noise))))
        loss.backward()
        optimizers[0].step()
        return loss

    def turn(i: int) -> Any:
        return forge(INPUTS[i % 6]) if i % 2 else judge(TARGETS[i % 6], INPUTS[i % 6])

    return turn, [generator, discriminator], optimizers


def training_and_evaluation(compiled: Any) -> Programs:
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2, rng=0))
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    @compiled
    def train(x: Any, target: Any) -> Any:
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), target)
        loss.backward()
        optimizer.step()
        return loss

    evaluate = compiled(tg.no_grad()(lambda x: model(x)))

    def turn(i: int) -> Any:
        model.train(i % 3 != 2)
        return evaluate(INPUTS[i % 6]) if i % 3 == 2 else train(INPUTS[i % 6], TARGETS[i % 6])

    return turn, [model], [optimizer]


def a_teacher(compiled: Any) -> Programs:
    student, teacher = network(0), network(3)
    optimizer = optim.SGD(student.parameters(), lr=0.01)

    @compiled
    def learn(x: Any) -> Any:
        optimizer.zero_grad()
        with tg.no_grad():
            target = teacher(x)
        loss = F.mse_loss(student(x), target)
        loss.backward()
        optimizer.step()
        return loss

    @compiled
    def follow() -> None:
        with tg.no_grad():
            for mine, other in zip(teacher.parameters(), student.parameters()):
                mine.data = 0.9 * mine + 0.1 * other

    def turn(i: int) -> Any:
        loss = learn(INPUTS[i % 6])
        follow()
        return loss

    return turn, [student, teacher], [optimizer]


def dropped_at_the_end(compiled: Any) -> Programs:
    return two_functions(compiled, every=1)


def other_shapes(compiled: Any) -> Programs:
    model = network()
    optimizer = optim.Adam(model.parameters(), lr=0.01)

    @compiled
    def step(x: Any) -> Any:
        loss = np.mean(model(x) ** 2)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return lambda i: step(INPUTS[i % 6][: 5 - i % 2]), [model], [optimizer]


PROGRAMS: dict[str, Callable[[Any], Programs]] = {
    "a count": a_count,
    "two functions": two_functions,
    "zeros that stay": lambda compiled: two_functions(compiled, to_none=False),
    "clipped": lambda compiled: two_functions(compiled, clips=True),
    "a number": lambda compiled: two_functions(compiled, kind=Scaled),
    "dropped at the end": dropped_at_the_end,
    "zeros first": zeros_first,
    "two models": two_models,
    "training and evaluation": training_and_evaluation,
    "a teacher": a_teacher,
    "other shapes": other_shapes,
}


def what_stays(models: list[nn.Module], optimizers: list[optim.Optimizer]) -> list[Any]:
    parameters = [p for model in models for p in model.parameters()]
    buffers = [buffer for model in models for _, buffer in model.named_buffers()]
    gradients = [None if p.grad is None else p.grad.numpy().copy() for p in parameters]
    state = trees.leaves([[*optimizer.state.values()] for optimizer in optimizers])
    return [*(p.numpy().copy() for p in parameters), *map(np.copy, buffers), *gradients, *map(np.copy, state)]


def assert_same(mine: Any, other: Any, label: str) -> None:
    for a, b in zip(trees.leaves(mine), trees.leaves(other), strict=True):
        assert (a is None) == (b is None), label
        if a is not None:
            a, b = (x.numpy() if isinstance(x, tg.Tensor) else x for x in (a, b))
            np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-10, err_msg=label)


@pytest.mark.long
@pytest.mark.parametrize("name", spread(PROGRAMS, 0))
def test_programs_in_turn(backend: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The results and what stays are those of eager mode, and after some rounds no program is looked for any more."""
    turn, *mine = PROGRAMS[name](lambda f: tg.compile(f, backend))
    eager_turn, *others = PROGRAMS[name](lambda f: f)
    for i in range(48):
        if i == 30:
            monkeypatch.setattr(Compiled, "fitting", lambda *_: pytest.fail("the program is looked for"))
        assert_same(turn(i), eager_turn(i), f"turn {i}")
        assert_same(what_stays(*mine), what_stays(*others), f"after turn {i}")


class Bystander:
    """What other code does with gradients and weights between two turns."""

    def __init__(self, models: list[nn.Module]) -> None:
        self.parameters = [p for model in models for p in model.parameters()]
        self.held: list[Any] = []

    def act(self, action: str, i: int) -> None:
        p = self.parameters[i % len(self.parameters)]
        if action == "weight":
            self.held.append(p.numpy())
        if action == "let go":
            self.held.clear()
        if action == "transposed":  # the entries of a matrix follow one another in another order
            p.data = np.array(p.numpy() * 0.5, order="F")
        if p.grad is None:
            return
        if action in ("array", "array, scaled"):
            self.held.append(p.grad.numpy())
        if action in ("scaled", "array, scaled", "tensor, scaled"):
            p.grad.data = p.grad.data * 0.5
        if action in ("tensor", "tensor, scaled"):
            self.held.append(p.grad)
        if action == "another":
            p.grad = tg.tensor(p.grad.numpy() + 0.25)
        if action == "zero":
            p.grad = tg.tensor(np.zeros(p.shape))
        for q in self.parameters:
            if action == "exchanged" and q.shape == p.shape and q.grad is not None:
                p.grad, q.grad = q.grad, p.grad
            if action == "shared" and q.shape == p.shape and q.grad is not None:
                q.grad = p.grad


ACTIONS = ["weight", "tensor", "array", "scaled", "array, scaled", "tensor, scaled"]
ACTIONS += ["another", "zero", "exchanged", "shared", "let go", "transposed"]


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:.*was recorded 5 times")
@pytest.mark.parametrize("name", spread(PROGRAMS, 0))
def test_what_other_code_does_in_between(backend: str, name: str) -> None:
    """It may hold gradients, or put others there: what it holds stays, and what it puts there counts."""
    turn, *mine = PROGRAMS[name](lambda f: tg.compile(f, backend))
    eager_turn, *others = PROGRAMS[name](lambda f: f)
    bystanders = [Bystander(mine[0]), Bystander(others[0])]
    rng = np.random.default_rng(0)
    for i in range(150):
        label = f"turn {i}"
        for action in rng.choice(ACTIONS, int(rng.integers(3))) if i > 12 else ():
            label += f" after {action}"
            which = int(rng.integers(100))
            for bystander in bystanders:
                bystander.act(str(action), which)
        assert_same(turn(i), eager_turn(i), label)
        assert_same(what_stays(*mine), what_stays(*others), label)
        assert_same(bystanders[0].held, bystanders[1].held, label)
