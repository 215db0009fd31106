"""Against PyTorch: whole trajectories of optimisers and of schedules, and their states."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.optim.samples import OPTIMIZERS, SCHEDULES
from tinygrad_lite import optim

pytestmark = [
    pytest.mark.compare,
    pytest.mark.filterwarnings("ignore:.*no gradient for parameter", "ignore:Detected call of .lr_scheduler.step"),
]
torch = pytest.importorskip("torch", reason="PyTorch comes with the extra `compare`")

swa_utils = pytest.importorskip("torch.optim.swa_utils")

SHAPES = [(5, 3), (3, 4)]
THEIRS = SimpleNamespace(**vars(torch.optim.lr_scheduler), SWALR=swa_utils.SWALR)


class Pair:
    """The same parameters in two groups, and an optimiser of ours and of PyTorch's."""

    def __init__(self, name: str) -> None:
        kind, settings = OPTIMIZERS[name]
        self.rng = np.random.default_rng(0)
        starts = [self.rng.normal(size=shape) for shape in SHAPES]
        self.ours = [tg.tensor(x, requires_grad=True) for x in starts]
        self.theirs = [torch.tensor(x, requires_grad=True) for x in starts]
        self.own = getattr(optim, kind)(groups(self.ours), **settings)
        self.other = getattr(torch.optim, kind)(groups(self.theirs), **settings)
        # PyTorch rounds to bfloat16 in a matrix product, whose sums may have another order elsewhere
        self.tolerance = 0.02 * settings["lr"] if kind == "Muon" else 1e-13

    def step(self, turn: int) -> None:
        """A step with the same gradients for both, so that only the update formulas are compared; some have none."""
        for i, (w, z) in enumerate(zip(self.ours, self.theirs)):
            if (i == 0 and turn < 5) or (i == 1 and turn % 3 == 1):
                w.grad = z.grad = None
            else:
                gradient = self.rng.normal(size=w.shape) + 0.1 * w.numpy()
                w.grad, z.grad = gradient, torch.tensor(gradient)
        self.own.step(), self.other.step()
        for w, z in zip(self.ours, self.theirs):
            np.testing.assert_allclose(w.numpy(), z.detach().numpy(), rtol=1e-12, atol=self.tolerance)


def groups(parameters: list[Any]) -> list[dict[str, Any]]:
    return [{"params": parameters[:1]}, {"params": parameters[1:], "lr": 0.01}]


@pytest.fixture(autouse=True)
def numbers_in_float64() -> Any:
    """PyTorch keeps the numbers in an optimiser's state in the default dtype."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_sixty_steps_of_an_optimiser(name: str) -> None:
    pair = Pair(name)
    for turn in range(60):
        pair.step(turn)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_state_of_pytorchs_is_loaded(name: str) -> None:
    first, second = Pair(name), Pair(name)
    for turn in range(10):
        first.step(turn)
    for w, z, x in zip(second.ours, second.theirs, first.theirs):
        w.data = x.detach().numpy()
        z.data.copy_(x.data)
    second.own.load_state_dict(first.other.state_dict())
    second.other.load_state_dict(first.other.state_dict())
    for turn in range(10, 20):
        second.step(turn)


def settings_of(optimizer: Any) -> list[float]:
    groups = optimizer.param_groups
    return [x for group in groups for x in (group["lr"], *group.get("betas", [group.get("momentum")]))]


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(name: str, kind: str) -> None:
    settings = {"momentum": 0.9} if kind == "SGD" else {}
    ours = getattr(optim, kind)(groups([tg.tensor(1.0, requires_grad=True) for _ in range(2)]), lr=0.1, **settings)
    theirs = getattr(torch.optim, kind)(
        groups([torch.ones(1, requires_grad=True) for _ in range(2)]), lr=0.1, **settings
    )
    mine, yours = SCHEDULES[name](optim.lr_scheduler, ours), SCHEDULES[name](THEIRS, theirs)
    for turn in range(28):
        np.testing.assert_allclose(settings_of(ours), settings_of(theirs), rtol=1e-10, atol=1e-15)
        np.testing.assert_allclose(mine.get_last_lr(), yours.get_last_lr(), rtol=1e-10, atol=1e-15)
        theirs.step(), mine.step(), yours.step()
        if turn == 7:  # which most schedules follow
            ours.param_groups[0]["lr"] *= 0.5
            theirs.param_groups[0]["lr"] *= 0.5
            yours._last_lr = [group["lr"] for group in theirs.param_groups]


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_group_that_comes_later(name: str) -> None:
    """As in PyTorch, unless that fails: it has no rates of this group for some schedules."""
    ours = optim.SGD(groups([tg.tensor(1.0, requires_grad=True) for _ in range(2)]), lr=0.1, momentum=0.9)
    theirs = torch.optim.SGD(groups([torch.ones(1, requires_grad=True) for _ in range(2)]), lr=0.1, momentum=0.9)
    mine, yours = SCHEDULES[name](optim.lr_scheduler, ours), SCHEDULES[name](THEIRS, theirs)
    for turn in range(12):
        if turn == 4:
            ours.add_param_group({"params": [tg.tensor(1.0, requires_grad=True)], "lr": 0.03})
            theirs.add_param_group({"params": [torch.ones(1, requires_grad=True)], "lr": 0.03})
        theirs.step()
        try:
            yours.step()
        except (ValueError, KeyError):
            return
        mine.step()
        np.testing.assert_allclose(mine.get_last_lr(), yours.get_last_lr(), rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_reduction_on_a_plateau(mode: str, threshold_mode: str) -> None:
    settings = {"mode": mode, "threshold_mode": threshold_mode, "patience": 2, "cooldown": 3, "min_lr": [1e-3, 0.0]}
    ours = optim.SGD(groups([tg.tensor(1.0, requires_grad=True) for _ in range(2)]), lr=0.1)
    theirs = torch.optim.SGD(groups([torch.ones(1, requires_grad=True) for _ in range(2)]), lr=0.1)
    mine = optim.lr_scheduler.ReduceLROnPlateau(ours, threshold=0.01, **settings)
    yours = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, threshold=0.01, **settings)
    for metric in np.random.default_rng(0).normal(1, 0.2, size=60):
        mine.step(metric), yours.step(metric)
        assert mine.get_last_lr() == pytest.approx(yours.get_last_lr(), rel=1e-12)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"lr": 0.01},
        {"tolerance_grad": 1e-6, "history_size": 2},
        {"max_iter": 5, "max_eval": 4, "lr": 0.5},
        {"line_search_fn": "strong_wolfe"},
        {"line_search_fn": "strong_wolfe", "lr": 0.1, "max_iter": 4, "history_size": 3},
    ],
)
def test_lbfgs(settings: dict[str, Any]) -> None:
    """The same points by the same number of evaluations, in few steps: in many, each amplifies the rounding."""
    starts = [np.ones((2, 2)), np.linspace(-1, 1, 2)]
    ours = [tg.tensor(x, requires_grad=True) for x in starts]
    theirs = [torch.tensor(x, requires_grad=True) for x in starts]
    own, other = optim.LBFGS(ours, **settings), torch.optim.LBFGS(theirs, **settings)
    a = np.random.default_rng(0).normal(size=(6, 6)) + 3 * np.eye(6)

    def mine() -> Any:
        own.zero_grad()
        x = np.concatenate([np.ravel(ours[0]), ours[1]])
        loss = np.sum((a @ x - 1) ** 2)
        loss.backward()
        return loss

    def yours() -> Any:
        other.zero_grad()
        x = torch.cat([theirs[0].reshape(-1), theirs[1]])
        loss = torch.sum((torch.tensor(a) @ x - 1) ** 2)
        loss.backward()
        return loss

    for _ in range(2):
        assert own.step(mine).item() == pytest.approx(other.step(yours).item(), rel=1e-9, abs=1e-12)
        for w, z in zip(ours, theirs):
            np.testing.assert_allclose(w.numpy(), z.detach().numpy(), rtol=1e-8, atol=1e-8)
        for name in ("func_evals", "n_iter"):
            assert own.state[ours[0]][name] == other.state[theirs[0]][name]


def test_averages_of_weights() -> None:
    ours, theirs = tg.tensor(np.ones(3), requires_grad=True), torch.nn.Linear(1, 3, bias=False)
    average = optim.ExponentialMovingAverage([ours], 0.9)
    other = swa_utils.AveragedModel(theirs, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.9))
    for values in np.random.default_rng(0).normal(size=(10, 3)):
        ours.data = values
        theirs.weight.data.copy_(torch.tensor(values[:, None]))
        average.update()
        other.update_parameters(theirs)
        expected = other.module.weight.detach().numpy()[:, 0]
        np.testing.assert_allclose(average.averages[0].numpy(), expected, rtol=1e-12)
