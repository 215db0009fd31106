"""Compiled training steps of long and of repetitive programs: seconds of the first call, and the time beside JAX's.

    python -m benchmarks.long_programs [names …]

Each first call runs in a process of its own, with nothing kept from an earlier one, and includes the import of the
compiler. JAX's first call is that of the same step.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

import tinygrad_lite as tg
from benchmarks.timing import Step, compare

Loss = Callable[..., Any]


class Work(NamedTuple):
    """A loss of parameters and an array, written for NumPy's or JAX's functions.

    Attributes:
        reach: seconds that the first call may take.
        optimizer: what changes the parameters, of `tg.optim`.
        beside_jax: whether JAX compiles the loop, which it unrolls, within a minute.
    """

    title: str
    loss: Loss
    parameters: dict[str, Any]
    x: Any
    reach: float
    optimizer: str = "SGD"
    beside_jax: bool = True


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def chain() -> Work:
    names = ("sin", "cos", "tanh", "exp", "arctan", "sqrt", "log1p")

    def loss(np: Any, p: Any, x: Any) -> Any:
        y = p["w"] * x
        for i in range(1667):
            y = getattr(np, names[i * i % 7])(np.absolute(y) + 0.1 * (i % 13))
        return np.mean(y)

    return Work("chain of 5,001 operations, and as many rules", loss, {"w": np.ones(16)}, _rng().random(16), 5)


def rnn() -> Work:
    rng = _rng()

    def loss(np: Any, p: Any, x: Any) -> Any:
        h = np.zeros((16, 32))
        for t in range(50):
            h = np.tanh(x[t] @ p["input"] + h @ p["hidden"] + p["bias"])
        return np.mean((h @ p["output"]) ** 2)

    parameters = {
        "input": rng.normal(size=(8, 32)) / 3,
        "hidden": rng.normal(size=(32, 32)) / 6,
        "bias": np.zeros(32),
        "output": rng.normal(size=(32, 1)),
    }
    return Work("RNN of 50 steps, width 32, batch 16", loss, parameters, rng.normal(size=(50, 16, 8)), 3)


def _gated(gates: int, update: Callable[..., Any], title: str, steps: int = 25) -> Work:
    rng = _rng()

    def loss(np: Any, p: Any, x: Any) -> Any:
        h = c = np.zeros((16, 32))
        for t in range(steps):
            h, c = update(np, p, x[t], h, c)
        return np.mean((h @ p["output"]) ** 2)

    parameters = {
        "input": rng.normal(size=(8, gates * 32)) / 3,
        "hidden": rng.normal(size=(32, gates * 32)) / 6,
        "bias": np.zeros(gates * 32),
        "output": rng.normal(size=(32, 1)),
    }
    return Work(title, loss, parameters, rng.normal(size=(steps, 16, 8)), 5)


def _sigmoid(np: Any, x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def lstm() -> Work:
    def update(np: Any, p: Any, x: Any, h: Any, c: Any) -> Any:
        i, f, g, o = np.split(x @ p["input"] + h @ p["hidden"] + p["bias"], 4, axis=1)
        c = _sigmoid(np, f) * c + _sigmoid(np, i) * np.tanh(g)
        return _sigmoid(np, o) * np.tanh(c), c

    return _gated(4, update, "LSTM of 25 steps, width 32, batch 16")


def gru() -> Work:
    def update(np: Any, p: Any, x: Any, h: Any, c: Any) -> Any:
        r, z, n = np.split(x @ p["input"] + p["bias"], 3, axis=1)
        hr, hz, hn = np.split(h @ p["hidden"], 3, axis=1)
        z = _sigmoid(np, z + hz)
        return (1 - z) * np.tanh(n + _sigmoid(np, r + hr) * hn) + z * h, c

    return _gated(3, update, "GRU of 25 steps, width 32, batch 16")


def runge_kutta() -> Work:
    def loss(np: Any, p: Any, x: Any) -> Any:
        def change(y: Any) -> Any:
            a, b = y[0], y[1]
            return np.stack([p["k"][0] * a - p["k"][1] * a * b, p["k"][2] * a * b - p["k"][3] * b])

        y, dt = x, 0.05
        for _ in range(100):
            k1 = change(y)
            k2 = change(y + dt / 2 * k1)
            k3 = change(y + dt / 2 * k2)
            k4 = change(y + dt * k3)
            y = y + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return np.sum(y**2)

    return Work(
        "RK4 of 100 steps", loss, {"k": np.array([1.1, 0.4, 0.1, 0.4])}, np.array([3.0, 2.0]), 5, beside_jax=False
    )


def _tanh_layers(title: str, count: int, width: int, batch: int, optimizer: str = "SGD") -> Work:
    rng = _rng()

    def loss(np: Any, p: Any, x: Any) -> Any:
        for i in range(count):
            x = np.tanh(x @ p[f"w{i}"] + p[f"b{i}"])
        return np.mean(x**2)

    parameters = {f"w{i}": rng.normal(size=(width, width)) / np.sqrt(width) for i in range(count)}
    parameters |= {f"b{i}": np.zeros(width) for i in range(count)}
    return Work(title, loss, parameters, rng.normal(size=(batch, width)), 4, optimizer)


def deep() -> Work:
    return _tanh_layers("MLP of 40 layers, Adam", 40, 16, 32, "Adam")


def ten_layers() -> Work:
    return _tanh_layers("tanh MLP of 10 layers, width 64, batch 64", 10, 64, 64)


def attention() -> Work:
    rng = _rng()

    def loss(np: Any, p: Any, x: Any) -> Any:
        q, k, v = x @ p["query"], x @ p["key"], x @ p["value"]
        scores = q @ np.swapaxes(k, 1, 2) / 8
        weights = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
        return np.mean((weights / np.sum(weights, axis=-1, keepdims=True) @ v) ** 2)

    parameters = {name: (rng.normal(size=(64, 64)) / 8).astype(np.float32) for name in ("query", "key", "value")}
    x = rng.normal(size=(8, 64, 64)).astype(np.float32)
    return Work("attention, batch 8, 64 × 64, float32", loss, parameters, x, 4)


def layer_norm_gelu() -> Work:
    rng = _rng()

    def loss(np: Any, p: Any, x: Any) -> Any:
        z = x @ p["w"]
        z = (z - np.mean(z, axis=1, keepdims=True)) / np.sqrt(np.var(z, axis=1, keepdims=True) + 1e-5)
        z = p["scale"] * z + p["shift"]
        z = 0.5 * z * (1 + np.tanh(0.7978845608 * (z + 0.044715 * z * z * z)))
        return np.mean(z**2)

    parameters = {"w": rng.normal(size=(64, 64)) / 8, "scale": np.ones(64), "shift": np.zeros(64)}
    return Work("layer norm and GELU, 64 × 64", loss, parameters, rng.normal(size=(64, 64)), 4)


WORK: dict[str, Callable[[], Work]] = {
    make.__name__: make for make in (rnn, lstm, gru, runge_kutta, deep, chain, ten_layers, attention, layer_norm_gelu)
}


def ours(work: Work, backend: str = "native") -> Step:
    """A compiled training step."""
    tensors = {name: tg.tensor(x, requires_grad=True, name=name) for name, x in work.parameters.items()}
    optimizer = getattr(tg.optim, work.optimizer)([*tensors.values()], lr=1e-3)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = work.loss(np, tensors, x)
        loss.backward()
        optimizer.step()
        return loss

    compiled = tg.compile(step, backend)
    return lambda: compiled(work.x)


def by_jax(work: Work) -> Step:
    """The same step under jax.jit."""
    import jax
    import jax.numpy as jnp

    state = jax.tree.map(jnp.asarray, work.parameters)
    moments = [jax.tree.map(jnp.zeros_like, state) for _ in range(2)]
    x = jnp.asarray(work.x)

    def sgd(state: Any, moments: Any, count: Any, x: Any) -> Any:
        value, gradient = jax.value_and_grad(lambda p: work.loss(jnp, p, x))(state)
        return value, {name: part - 1e-3 * gradient[name] for name, part in state.items()}, moments

    def adam(state: Any, moments: Any, count: Any, x: Any) -> Any:
        value, gradient = jax.value_and_grad(lambda p: work.loss(jnp, p, x))(state)
        first = {name: 0.9 * m + 0.1 * gradient[name] for name, m in moments[0].items()}
        second = {name: 0.999 * v + 0.001 * gradient[name] ** 2 for name, v in moments[1].items()}
        size, root = 1e-3 / (1 - 0.9**count), (1 - 0.999**count) ** 0.5
        changed = {
            name: part - size * first[name] / (second[name] ** 0.5 / root + 1e-8) for name, part in state.items()
        }
        return value, changed, [first, second]

    step = jax.jit(adam if work.optimizer == "Adam" else sgd)
    count = 0

    def turn() -> Any:
        nonlocal state, moments, count
        count += 1
        value, state, moments = jax.block_until_ready(step(state, moments, float(count), x))
        return value

    return turn


_FIRST = """
from time import perf_counter
from benchmarks.long_programs import WORK, by_jax, ours
work = WORK[{name!r}]()
{imported}
step = {maker}(work)
start = perf_counter()
step(){again}
print(perf_counter() - start)
"""


def first_call(name: str, maker: str) -> float:
    """Seconds until the step runs, in a new process; Adam's first step makes its state, and is another program."""
    imported = "import jax" if maker == "by_jax" else ""
    again = "; step()" if maker == "ours" else ""
    with TemporaryDirectory() as cache:
        command = [sys.executable, "-c", _FIRST.format(name=name, maker=maker, imported=imported, again=again)]
        environment = {**os.environ, "TINYGRAD_LITE_CACHE": cache}
        process = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return float(process.stdout.split()[-1])


def table(names: Sequence[str] = ()) -> Iterator[str]:
    """The section of the page."""
    yield from [
        "## Compiled programs that are long, or repeat themselves",
        "",
        "A native training step of each, beside JAX's `jit` of the same lines. The first call is that of a process",
        "with nothing kept from an earlier one. A loop is recorded turn by turn, and what repeats is compiled once.",
        "Where JAX's column is empty, it takes more than a minute to compile the loop, which it unrolls.",
        "",
        "| | first call, s | reach, s | JAX, s | step, µs | to JAX |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name in names or WORK:
        work = WORK[name]()
        has_jax = work.beside_jax and bool(find_spec("jax"))
        made = {"ours": ours(work)} | ({"JAX": by_jax(work)} if has_jax else {})
        values = [[float(step()) for _ in range(3)] for step in made.values()]
        for other in values[1:]:
            np.testing.assert_allclose(other, values[0], rtol=1e-4 if work.x.dtype == np.float32 else 1e-8)
        times = compare(made, rounds=11, seconds_each=0.03)
        jax = [f"{first_call(name, 'by_jax'):.2f}", f"{1 / times['JAX'][1]:.2f}"] if has_jax else ["", ""]
        took = f"{first_call(name, 'ours'):.2f}"
        yield f"| {work.title} | {took} | {work.reach:g} | {jax[0]} | {times['ours'][0]:.0f} | {jax[1]} |"


def main() -> None:
    from benchmarks.programs.__main__ import PEERS_AS_NUMPY, start_again_where_times_compare

    start_again_where_times_compare("benchmarks.long_programs", PEERS_AS_NUMPY)
    for line in table(sys.argv[1:]):
        print(line, flush=True)


if __name__ == "__main__":
    main()
