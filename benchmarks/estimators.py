"""Estimators beside scikit-learn's MLPClassifier, and `tg.fit` beside the loop by hand, in turn on one thread.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.estimators [--rounds N] [--accuracy]

The digits are fitted with the same settings: one hidden layer of 100, Adam, batches of 200, 50 epochs. The penalty of
`MLPClassifier`, α / 2n · ‖w‖² with α = 0.0001, is a weight decay of α / n. `--accuracy` compares ten seeds on rows that
were set aside.
"""

import argparse
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

import tinygrad_lite as tg
from benchmarks.timing import Step, compare
from tinygrad_lite import nn
from tinygrad_lite.estimators import Classifier

EPOCHS = 50
SEEDS = 10


def theirs(seed: int = 0) -> Any:
    return MLPClassifier((100,), batch_size=200, max_iter=EPOCHS, random_state=seed)


def ours(seed: int = 0, compile: bool = False) -> Any:
    decay = 0.0001 / 200
    return Classifier(
        lr=0.001, batch_size=200, epochs=EPOCHS, optimizer__weight_decay=decay, compile=compile, random_state=seed
    )


def digits() -> tuple[Any, Any]:
    X, y = tg.datasets.load_digits(return_X_y=True)
    return X / 16, y


def accuracies(make: Callable[[int], Any]) -> Any:
    """The accuracy for each seed, of the model and of the split."""
    X, y = digits()
    scores = []
    for seed in range(SEEDS):
        train_X, test_X, train_y, test_y = train_test_split(X, y, test_size=0.25, random_state=seed, stratify=y)
        scores.append(make(seed).fit(train_X, train_y).score(test_X, test_y))
    return np.array(scores)


def network(*sizes: int) -> nn.Module:
    rng = np.random.default_rng(0)
    return nn.Sequential(nn.Linear(sizes[0], sizes[1], rng=rng), nn.ReLU(), nn.Linear(sizes[1], sizes[2], rng=rng))


def heart() -> tuple[Any, Any]:
    X, y = tg.datasets.load_heart(return_X_y=True)
    return (X - X.mean(axis=0)) / X.std(axis=0), y[:, None].astype(float)


Case = tuple[tuple[int, int, int], Any, tuple[Any, Any], int, int]
CASES: dict[str, Case] = {
    "digits, 64-100-10": ((64, 100, 10), nn.functional.cross_entropy, digits(), 200, 50),
    "heart, 13-8-1": ((13, 8, 1), nn.functional.binary_cross_entropy_with_logits, heart(), 32, 100),
}
"""The sizes of a network, its loss, its data, the size of a batch, and the number of epochs."""


def loop_by_hand(case: Case, compile: bool) -> Any:
    sizes, loss, (x, y), rows, epochs = case
    model = network(*sizes)
    optimizer = tg.optim.Adam(model.parameters())

    def step(inputs: Any, targets: Any) -> Any:
        optimizer.zero_grad()
        value = loss(model(inputs), targets)
        value.backward()
        optimizer.step()
        return value.detach()

    run = tg.compile(step) if compile else step
    rng = np.random.default_rng(0)
    curve = []
    for _ in range(epochs):
        order = rng.permutation(len(x))
        losses = []
        for start in range(0, len(x), rows):
            chosen = order[start : start + rows]
            losses.append(run(x[chosen], y[chosen]))
        curve.append(np.mean([float(value) for value in losses]))
    return curve


def by_fit(case: Case, compile: bool) -> Any:
    sizes, loss, data, rows, epochs = case
    return tg.fit(network(*sizes), loss, data, epochs=epochs, batch_size=rows, compile=compile, verify=False, rng=0)[
        "loss"
    ]


def table(title: str, contestants: dict[str, Step], rounds: int) -> None:
    print(f"\n{title}")
    for name, (microseconds, ratio) in compare(contestants, rounds, seconds_each=0).items():
        print(f"    {name:<32} {microseconds / 1000:9.1f} ms    {ratio:5.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the estimators and tg.fit.")
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="how often each contestant runs")
    parser.add_argument("--accuracy", action="store_true", help="compare the accuracy over ten seeds instead")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # MLPClassifier warns that 50 epochs are too few
    if arguments.accuracy:
        for name, make in (("MLPClassifier", theirs), ("Classifier", ours)):
            scores = accuracies(make)
            print(f"{name:<16} {100 * scores.mean():.2f} % ± {100 * scores.std(ddof=1):.2f}, over {SEEDS} seeds")
        return
    X, y = digits()
    fits: dict[str, Step] = {
        "MLPClassifier": lambda: theirs().fit(X, y),
        "Classifier": lambda: ours().fit(X, y),
        "Classifier, compiled": lambda: ours(compile=True).fit(X, y),
    }
    table("A fit of the digits; the ratio is to MLPClassifier", fits, arguments.rounds)
    for name, case in CASES.items():
        for compile in (False, True):
            how = "compiled" if compile else "eager"
            np.testing.assert_allclose(by_fit(case, compile)[0], loop_by_hand(case, compile)[0], rtol=0.05)
            both: dict[str, Step] = {
                "the loop by hand": partial(loop_by_hand, case, compile),
                "tg.fit": partial(by_fit, case, compile),
            }
            table(f"{name}, {how}; the ratio is to the loop by hand", both, arguments.rounds)


if __name__ == "__main__":
    main()
