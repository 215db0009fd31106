"""The gradient of each single example, beside `torch.func`, for the models of benchmarks.models.

    python -m benchmarks.single_examples

Here it is `tg.vmap(tg.grad(loss), (None, 0, …))(model, *data)`, there the same with `functional_call`, as PyTorch's
documentation does it. The gradients must agree, by the largest of each parameter, to 1e-3 in float32.
"""

import warnings
from collections.abc import Iterable
from statistics import geometric_mean
from typing import Any

import numpy as np

import tinygrad_lite as tg
from benchmarks.models import MODELS, in_numpy, in_pytorch
from benchmarks.programs.__main__ import PEERS_AS_NUMPY, start_again_where_times_compare
from benchmarks.programs.peers import torch
from benchmarks.timing import Step, compare

TOLERANCE = 1e-3
LEFT_OUT = {
    "mobile_block": "its batch normalisation takes statistics of several examples",
    "generator": "its batch normalisation takes statistics of several examples",
    "normalised_mlp": "its batch normalisation takes statistics of several examples",
    "cell_in_a_loop": "its first axis is time",
    "graph": "its rows are nodes of one graph",
    "two_layer_rnn": "torch.func ends in an error",
}

INTRODUCTION = """\
## Gradients of single examples of models

`tg.vmap(tg.grad(loss), (None, 0, 0))(model, x, y)` is the gradient of each example by each parameter. It runs beside
`torch.func.vmap` of `grad` and `functional_call`, and under `tg.compile`. The models are those above, in float32 on one
thread, without those in which examples meet (batch normalisation, graphs) and without an RNN, which `torch.func.vmap`
does not take.
"""


def steps(name: str) -> dict[str, Step]:
    """The gradients in each library, PyTorch's first."""
    model, loss, data = in_numpy(name)
    theirs, their_loss, their_data = in_pytorch(name)
    values = {key: p.detach() for key, p in theirs.named_parameters()}

    def of_one(model: Any, *example: Any) -> Any:
        return loss(model, *[x[None] for x in example])

    def of_one_of_theirs(values: Any, *example: Any) -> Any:
        def run(*inputs: Any) -> Any:
            return torch.func.functional_call(theirs, values, inputs)

        return their_loss(run, *[x[None] for x in example])

    axes = (None, *(0 for _ in data))
    ours = tg.vmap(tg.grad(of_one), axes)
    native = tg.compile(ours, "native")
    pytorchs = torch.func.vmap(torch.func.grad(of_one_of_theirs), axes)
    return {
        "PyTorch": lambda: pytorchs(values, *their_data),
        "tinygrad_lite": lambda: ours(model, *data),
        "native": lambda: native(model, *data),
    }


def table() -> Iterable[str]:
    """The section of the page, line by line as the rows are measured."""
    yield INTRODUCTION
    yield "| | µs | to PyTorch | native, to PyTorch |"
    yield "|---|---:|---:|---:|"
    ratios, natives = [], []
    for name in [name for name in MODELS if name not in LEFT_OUT]:
        contestants: dict[str, Any] = steps(name)
        expected, *others = (step() for step in contestants.values())
        for found in others:
            for key, g in expected.items():
                np.testing.assert_allclose(found[key].detach().numpy(), g, TOLERANCE, TOLERANCE * float(g.abs().max()))
        times = compare(contestants, rounds=15, seconds_each=0.015)
        ratios.append(times["tinygrad_lite"][1])
        natives.append(times["native"][1])
        yield f"| {MODELS[name][0]} | {times['tinygrad_lite'][0]:.0f} | {ratios[-1]:.2f} | {natives[-1]:.2f} |"
    yield f"| geometric mean | | {geometric_mean(ratios):.2f} | {geometric_mean(natives):.2f} |"


if __name__ == "__main__":
    start_again_where_times_compare("benchmarks.single_examples", PEERS_AS_NUMPY)
    warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)  # of torch.func's loops
    for line in table():
        print(line, flush=True)
