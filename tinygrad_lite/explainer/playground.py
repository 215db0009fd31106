"""The playground: a page in which networks are trained by the declarations themselves, printed as JavaScript."""

from typing import Any

import numpy as np

from tinygrad_lite import nn, optim
from tinygrad_lite.datasets import load_heart
from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import tensor
from tinygrad_lite.explainer import explain, javascript
from tinygrad_lite.explainer.files import page
from tinygrad_lite.explainer.page import programs_of
from tinygrad_lite.explainer.playback import STYLES

SCRIPTS = ("german", "messages", "numpy", "arrays", "plots", "dragging", "training", "network", "playground")
ACTIVATIONS = {"ReLU": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
DEEPEST = 3
"""The largest number of hidden layers."""

POINTS = 200
"""Rows of a problem with two inputs. A network learns from the first half of a problem's rows."""


def html() -> str:
    """The page: one file that needs no network.

    Example:
        >>> page = html()
        >>> page.startswith("<!DOCTYPE html>"), "np.matmul" in page
        (True, True)
    """
    programs: dict[str, int] = {}
    posed = problems()
    sizes = dict.fromkeys((problem["inputs"], len(problem["y"]) // 2) for problem in posed)
    networks = [
        _network(inputs, rows, depth, name, programs)
        for inputs, rows in sizes
        for depth in range(1, DEEPEST + 1)
        for name in ACTIVATIONS
    ]
    optimizers = {name: _optimizer(settings, programs) for name, settings in OPTIMIZERS.items()}
    data = {"problems": posed, "networks": networks, "optimizers": optimizers}
    return page("playground.html", "A network to play with", data, SCRIPTS, STYLES, programs)


def problems() -> list[dict[str, Any]]:
    """Two classes each: three problems of points in a plane, and the heart-disease data."""
    rng = np.random.default_rng(0)
    second = np.arange(POINTS) % 2
    angle, noise = rng.uniform(0, 2 * np.pi, POINTS), rng.normal(scale=0.12, size=(POINTS, 2))
    turn = np.sqrt(rng.uniform(0.02, 1, POINTS))
    square = rng.uniform(-1.3, 1.3, (POINTS, 2))
    posed = {
        "a circle": (_polar(0.5 + 0.8 * second, angle) + noise, second),
        "exclusive or": (square, (square[:, 0] * square[:, 1] > 0) * 1),
        "two spirals": (_polar(1.4 * turn, 7 * turn + np.pi * second) + noise / 4, second),
    }
    heart = load_heart()
    mixed = rng.permutation(len(heart.target))
    names = [column.replace("_", " ") for column in heart.feature_names]
    standardised = (heart.data - heart.data.mean(axis=0)) / heart.data.std(axis=0)
    posed["heart disease"] = (standardised[mixed], heart.target[mixed])
    return [
        {
            "name": name,
            "columns": ["x₁", "x₂"] if x.shape[1] == 2 else names,
            "inputs": x.shape[1],
            "x": np.round(x, 4).ravel().tolist(),
            "y": y.tolist(),
        }
        for name, (x, y) in posed.items()
    ]


def _polar(radius: Array, angle: Array) -> Array:
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _network(inputs: int, rows: int, depth: int, activation: str, programs: dict[str, int]) -> dict[str, Any]:
    """The operations of a network's loss and of its backward pass, in order, each with its program."""
    layers: list[nn.Module] = []
    for k in range(depth):
        layers += [nn.Linear(4 if k else inputs, 4, rng=k), ACTIVATIONS[activation]()]
    model = nn.Sequential(*layers, nn.Linear(4, 1, rng=depth))
    x, y = tensor(np.ones((rows, inputs)), name="x"), tensor(np.ones((rows, 1)), name="y")

    def loss(model: nn.Module, x: Any, y: Any) -> Any:
        return nn.functional.binary_cross_entropy_with_logits(model(x), y)

    lesson = explain(loss, model, x, y)
    texts, nodes, steps = programs_of(lesson.graph, lesson.backward)
    number = [programs.setdefault(text, len(programs)) for text in texts]
    operations = [
        {"node": k, "inputs": node["inputs"], "forward": number[node["forward"]]}
        for k, node in enumerate(nodes)
        if "op" in node
    ]
    leaves = {node["name"]: k for k, node in enumerate(nodes) if "op" not in node}
    return {
        "inputs": inputs,
        "depth": depth,
        "activation": activation,
        "x": leaves.pop("x"),
        "y": leaves.pop("y"),
        "parameters": list(leaves.items()),
        "operations": operations,
        "outputs": operations[-1]["inputs"][0],
        "loss": operations[-1]["node"],
        "steps": [[step["node"], [[each["node"], number[each["vjp"]]] for each in step["to"]]] for step in steps],
    }


OPTIMIZERS: dict[str, tuple[type[optim.Optimizer], dict[str, Any], tuple[str, ...]]] = {
    "gradient descent": (optim.SGD, {}, ()),
    "momentum": (optim.SGD, {"momentum": 0.9}, ("momentum_buffer",)),
    "RMSprop": (optim.RMSprop, {}, ("square_avg",)),
    "Adam": (optim.Adam, {}, ("exp_avg", "exp_avg_sq")),
}
"""The class of each optimiser, its settings, and the arrays that it keeps for each parameter, which begin at 0."""


def _optimizer(given: tuple[type[optim.Optimizer], dict[str, Any], tuple[str, ...]], programs: dict[str, int]) -> Any:
    """The programs of an optimiser's formula: for the new parameter, and for what it keeps."""
    kind, settings, kept = given
    optimizer = kind([tensor(1.0, requires_grad=True)], lr=0.1, **settings)
    group = optimizer.param_groups[0]
    asks = kind._asks

    def updated(result: str | None) -> int:
        def rule(w: Any, g: Any, t: Any, lr: Any, *state: Any) -> Any:
            before = dict(zip(kept, state))
            values = {**group, "lr": lr, "t": t}
            after = optimizer.update(w, g, before, *[values[name] for name in asks])
            return after if result is None else before[result]

        w = np.ones((2, 3))
        arguments = {"w": w, "g": w, "t": np.array(1.0), "lr": np.array(0.1), **dict.fromkeys(kept, w)}
        return programs.setdefault(javascript.function(rule, arguments, {}), len(programs))

    return {"kept": [updated(name) for name in kept], "updated": updated(None)}
