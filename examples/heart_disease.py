"""The heart-disease network: a tutorial's hand-derived gradients, replaced by a model definition.

    python examples/heart_disease.py [--output DIR] [--show-source]

The tutorial trains a 13-8-1 and a 13-10-1 network on 270 patients by full-batch gradient descent, with every gradient
derived by hand. This script reproduces the networks to the last digits without a derivation. It then compares them with
scikit-learn and Keras, searches for a better size of the network, and runs cross-validation, since one split with 54
test patients says little. In these two, the network is an estimator of scikit-learn.

Writes loss.png (the loss curves) and metrics.json (all the numbers) to DIR.
"""

import argparse
import json
import os
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RepeatedStratifiedKFold, cross_val_score, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

import tinygrad_lite as tg
from tinygrad_lite import nn
from tinygrad_lite.estimators import Classifier

SEEDS = range(5)

# The tutorial keeps probabilities above 1e-10 in the logarithm and in the division of its derivative, so the
# derivative is 1 / max(p, 1e-10) even where the maximum makes the logarithm constant. The declaration of an operation
# states the derivative that you want:
clipped_log = tg.elementwise(
    lambda p: np.log(np.maximum(p, 1e-10)),
    lambda y, p: 1 / np.maximum(p, 1e-10),
    name="clipped_log",
)


def clipped_cross_entropy(p: tg.Tensor, target: tg.Tensor) -> tg.Tensor:
    """The tutorial's loss, entry by entry."""
    return -(target * clipped_log(p) + (1 - target) * clipped_log(1 - p))


def network(hidden: int) -> nn.Sequential:
    """13-hidden-1, started as the tutorial starts: standard normal numbers, drawn as W1, b1, W2, b2."""
    model = nn.Sequential(nn.Linear(13, hidden), nn.ReLU(), nn.Linear(hidden, 1), nn.Sigmoid())
    draw = np.random.RandomState(1).randn
    w1, b1, w2, b2 = draw(13, hidden), draw(hidden), draw(hidden, 1), draw(1)
    model.load_state_dict({"0.weight": w1.T, "0.bias": b1, "2.weight": w2.T, "2.bias": b2})
    return model


def train(
    model: nn.Module, x: tg.Tensor, y: tg.Tensor, lr: float, iterations: int, descend: str = "sum", name: str = ""
) -> list[float]:
    """Full-batch gradient descent; returns the mean loss before each update.

    The tutorial reports the mean of the loss over the patients, but steps along the gradient of the sum, so its
    learning rate is 216 times larger than it seems. `descend="mean"` steps along the gradient of the mean.
    """
    step = training_step(model, tg.optim.SGD(model.parameters(), lr=lr), descend)
    hidden = None if name else True  # None: shown on a terminal only
    return [float(step(x, y)) for _ in tqdm(range(iterations), name, leave=False, disable=hidden)]


def training_step(model: nn.Module, optimizer: tg.optim.Optimizer, descend: str) -> Callable[[Any, Any], Any]:
    """A function that performs one step of `train`."""

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        losses = clipped_cross_entropy(model(x), y)
        (losses.sum() if descend == "sum" else losses.mean()).backward()
        optimizer.step()
        return losses.detach().mean()

    return step


def source() -> str:
    """The tutorial's step as NumPy source, with every gradient that the tutorial derived by hand."""
    model = network(8)
    step = tg.compile(training_step(model, tg.optim.SGD(model.parameters(), lr=0.001), "sum"), backend="numpy")
    x_train, _, y_train, _ = split()
    step(tg.tensor(x_train), tg.tensor(y_train[:, None].astype(float)))
    return step.source


def accuracy(model: Callable[[Any], Any], x: Any, y: Any) -> float:
    """The fraction of patients on the right side of one half."""
    return float(np.mean((np.asarray(model(x)).ravel() > 0.5) == y.ravel()))


def plain(model: nn.Module) -> Callable[[Any], Any]:
    """A model as a function of arrays, without a graph."""
    return tg.no_grad()(lambda x: model(x).numpy())


def split() -> tuple[Any, Any, Any, Any]:
    """The tutorial's split, standardised by its training part."""
    x, y = tg.datasets.load_heart(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.2, random_state=2)
    scaler = StandardScaler().fit(x_train)
    return scaler.transform(x_train), scaler.transform(x_test), y_train, y_test


def ours(x_train: Any, x_test: Any, y_train: Any, y_test: Any) -> tuple[list[dict[str, Any]], dict[str, list[float]]]:
    """The tutorial's two networks, and the first one again with the mean in place of the sum."""
    rows, curves = [], {}
    for name, hidden, lr, iterations, descend in (
        ("tutorial 13-8-1", 8, 0.001, 100, "sum"),
        ("tutorial 13-10-1", 10, 0.01, 500, "sum"),
        ("13-8-1, descending the mean", 8, 0.001, 100, "mean"),
    ):
        model = network(hidden)
        x, y = tg.tensor(x_train), tg.tensor(y_train[:, None].astype(float))
        curve = train(model, x, y, lr, iterations, descend, name)
        rows.append(
            {
                "model": name,
                "first_loss": curve[0],
                "last_loss": curve[-1],
                "train_accuracy": accuracy(plain(model), x_train, y_train),
                "test_accuracy": accuracy(plain(model), x_test, y_test),
            }
        )
        curves[name] = curve
    return rows, curves


def several_seeds(name: str, fit: Callable[[int], dict[str, float]]) -> dict[str, Any]:
    """A rival over several seeds: the mean of each figure, and the standard deviation of the test accuracy."""
    runs = pd.DataFrame([fit(seed) for seed in tqdm(SEEDS, name, leave=False, disable=None)])
    spread = float(runs["test_accuracy"].std())
    return {"model": name, **runs.mean().to_dict(), "test_accuracy_std": spread, "seeds": len(SEEDS)}


def scikit_learn(x_train: Any, x_test: Any, y_train: Any, y_test: Any) -> dict[str, Any]:
    def fit(seed: int) -> dict[str, float]:
        model = MLPClassifier(hidden_layer_sizes=(8,), learning_rate_init=0.001, max_iter=100, random_state=seed)
        with warnings.catch_warnings():  # it warns that 100 iterations, the tutorial's choice, are too few
            warnings.simplefilter("ignore")
            model.fit(x_train, y_train)
        return {
            "first_loss": model.loss_curve_[0],
            "last_loss": model.loss_curve_[-1],
            "train_accuracy": model.score(x_train, y_train),
            "test_accuracy": model.score(x_test, y_test),
        }

    return several_seeds("scikit-learn MLPClassifier(8)", fit)


def keras(x_train: Any, x_test: Any, y_train: Any, y_test: Any) -> dict[str, Any]:
    name = "Keras Dense(8)-Dense(1)"
    if find_spec("torch"):  # the extra `compare` installs it; Keras would look for TensorFlow
        os.environ.setdefault("KERAS_BACKEND", "torch")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import keras
    except ImportError:
        return {"model": name, "note": "needs the extra [compare]"}

    def fit(seed: int) -> dict[str, float]:
        keras.utils.set_random_seed(seed)
        model = keras.Sequential([keras.Input((13,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1, "sigmoid")])
        model.compile("adam", "binary_crossentropy")
        history = model.fit(x_train, y_train, epochs=100, verbose=0).history["loss"]
        return {
            "first_loss": history[0],
            "last_loss": history[-1],
            "train_accuracy": accuracy(lambda x: model.predict(x, verbose=0), x_train, y_train),
            "test_accuracy": accuracy(lambda x: model.predict(x, verbose=0), x_test, y_test),
        }

    return several_seeds(name, fit)


def tutorial_network(n_features_in: int, n_outputs: int, hidden: int = 8) -> nn.Module:
    """The tutorial's network, as an estimator builds it."""
    return network(hidden)


def total_cross_entropy(p: tg.Tensor, target: tg.Tensor) -> tg.Tensor:
    """The sum that the tutorial descends."""
    return np.sum(clipped_cross_entropy(p, target))


def estimator(**settings: Any) -> Pipeline:
    """The tutorial's network and its training, after standardisation."""
    model = Classifier(
        tutorial_network,
        loss=total_cross_entropy,
        outputs="probabilities",
        optimizer="SGD",
        lr=0.001,
        epochs=100,
        batch_size=1000,  # all patients
        random_state=0,
    )
    return make_pipeline(StandardScaler(), model.set_params(**settings))


def searched(x_train: Any, x_test: Any, y_train: Any, y_test: Any) -> dict[str, Any]:
    """The size of the hidden layer and the learning rate that are best for the training part, by cross-validation."""
    grid = {"classifier__module__hidden": [2, 4, 8, 16], "classifier__lr": [0.0003, 0.001, 0.003]}
    search = GridSearchCV(estimator(), grid, cv=5).fit(x_train, y_train)
    hidden, lr = (search.best_params_[f"classifier__{name}"] for name in ("module__hidden", "lr"))
    return {
        "model": f"searched: 13-{hidden}-1, lr={lr}",
        "train_accuracy": search.score(x_train, y_train),
        "test_accuracy": search.score(x_test, y_test),
    }


def cross_validation() -> Iterator[dict[str, Any]]:
    """Five times 10-fold: our first network, and logistic regression."""
    x, y = tg.datasets.load_heart(return_X_y=True)
    folds = RepeatedStratifiedKFold(n_splits=10, n_repeats=5, random_state=0)
    for name, model in (
        ("tutorial 13-8-1", estimator()),
        ("logistic regression", make_pipeline(StandardScaler(), LogisticRegression())),
    ):
        # the spread over whole repetitions: the folds of one repetition are not independent
        repetitions = cross_val_score(model, x, y, cv=folds).reshape(5, 10).mean(axis=1)
        yield {
            "model": f"{name}, 5 x 10-fold",
            "test_accuracy": float(repetitions.mean()),
            "test_accuracy_std": float(repetitions.std(ddof=1)),
        }


def draw(curves: dict[str, list[float]], path: Path) -> None:
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, style in (("tutorial 13-8-1", "-"), ("tutorial 13-10-1", "--")):
        axes.plot(range(1, len(curves[name]) + 1), curves[name], style, label=name)
    axes.set(xlabel="iteration", ylabel="mean binary cross-entropy", xscale="log", title="Heart disease: training loss")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as text: losses, and accuracies in per cent with their spread."""

    def accuracy_of(row: dict[str, Any], key: str) -> str:
        if key not in row:
            return ""
        spread = f" ± {100 * row[f'{key}_std']:.1f}" if f"{key}_std" in row else ""
        return f"{100 * row[key]:.1f} %{spread}"

    shown = [
        {
            "model": row["model"],
            "first loss": f"{row['first_loss']:.4f}" if "first_loss" in row else "",
            "last loss": f"{row['last_loss']:.4f}" if "last_loss" in row else "",
            "train": accuracy_of(row, "train_accuracy"),
            "test": accuracy_of(row, "test_accuracy") or row.get("note", ""),
        }
        for row in rows
    ]
    return pd.DataFrame(shown).to_string(index=False)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the heart-disease networks and compare them.")
    parser.add_argument(
        "--output", type=Path, default=Path("."), metavar="DIR", help="the folder for loss.png and metrics.json"
    )
    parser.add_argument("--show-source", action="store_true", help="print the source of the training step and stop")
    arguments = parser.parse_args()
    if arguments.show_source:
        print(source(), end="")
        return
    output = arguments.output
    output.mkdir(parents=True, exist_ok=True)

    parts = split()
    rows, curves = ours(*parts)
    rows += [scikit_learn(*parts), keras(*parts), searched(*parts), *cross_validation()]
    print(network(8))
    print()
    print(table(rows))
    if any("note" in row for row in rows):
        print("\nTo fill in the missing rows, run in this clone: pip install -e '.[compare]'")
    print(
        f"\nThe tutorial reports the mean loss but descends its sum: with the same learning rate on the mean, 100 steps"
        f" only reach {rows[2]['last_loss']:.4f}.\n"
        f"One split has 54 test patients, so the standard error of one accuracy is about 6 points; ± is the standard "
        f"deviation over {len(SEEDS)} seeds, or over the 5 repetitions."
    )
    draw(curves, output / "loss.png")
    (output / "metrics.json").write_text(json.dumps(rows, indent=2) + "\n")
    print(f"wrote {output / 'loss.png'} and {output / 'metrics.json'}")


if __name__ == "__main__":
    main()
