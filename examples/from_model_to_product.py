"""From the definition of a model to a service that explains its answers, in a minute.

    python examples/from_model_to_product.py [--output DIR] [--epochs N]

A network predicts heart disease of 270 patients. It is defined, verified, cross-validated, searched on a cluster of two
processes, trained as a native program, saved, resumed, and exported to ONNX together with the gradients of its answer,
which a runtime without Python can then explain.

Writes training.safetensors (a checkpoint) and model.onnx to DIR. Needs the extras `estimators`, `arrays`, `files`,
`onnx` and `compile`, and onnxruntime.
"""

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # one thread for each process of the cluster

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from dask.distributed import Client, LocalCluster
from joblib import parallel_backend
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tinygrad_lite as tg
from tinygrad_lite import nn
from tinygrad_lite.estimators import Classifier

EPOCHS = 60
LOSS = nn.functional.binary_cross_entropy_with_logits


class Network(nn.Module):
    """One hidden layer with dropout, and a logit."""

    def __init__(
        self, n_features_in: int, n_outputs: int, hidden: int = 8, dropout: float = 0.1, *, rng: nn.init.Rng = None
    ) -> None:
        rng = np.random.default_rng(rng)
        self.hidden = nn.Linear(n_features_in, hidden, rng=rng)
        self.dropout = nn.Dropout(dropout, rng=rng)
        self.output = nn.Linear(hidden, n_outputs, rng=rng)

    def forward(self, x: Any) -> Any:
        return self.output(self.dropout(np.tanh(self.hidden(x))))


def get_ready() -> None:
    """Import what a worker needs: with SciPy and pandas behind it, that takes longer than a short search."""
    import tinygrad_lite.estimators  # noqa: F401


def search(X: Any, y: Any) -> dict[str, Any]:
    """The best settings by a search in this process and on a cluster, which must agree."""
    model = Classifier(
        Network, epochs=4 * EPOCHS, batch_size=32, random_state=0
    )  # a short fit is sooner done than sent
    grid = {"classifier__module__hidden": [4, 16], "classifier__lr": [0.003, 0.01]}
    search = GridSearchCV(make_pipeline(StandardScaler(), model), grid, cv=4)
    start = time.perf_counter()
    alone = search.set_params(n_jobs=1).fit(X, y).best_params_
    end, seconds = time.perf_counter(), search.cv_results_["mean_fit_time"].mean()
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        client.wait_for_workers(2)
        client.run(get_ready)
        ready = time.perf_counter()
        with parallel_backend("dask"):
            together = search.set_params(n_jobs=2).fit(X, y).best_params_
        taken = time.perf_counter() - ready
    assert alone == together
    print(
        f"4. searched: {alone}; fits of {seconds:.1f} s, {(end - start) / taken:.1f} times as fast on two processes, "
        f"which took {ready - end:.1f} s to start"
    )
    return {name.rpartition("__")[2]: value for name, value in alone.items()}


def trained(data: Any, settings: dict[str, Any], epochs: int, checkpoint: Path) -> tuple[nn.Module, Any]:
    """The model after as many epochs in all, from the checkpoint if it is there already."""
    model = Network(13, 1, settings["hidden"], rng=0)
    optimizer = tg.optim.Adam(model.parameters(), lr=settings["lr"])
    history = tg.fit(
        model, LOSS, data, epochs=epochs, batch_size=32, optimizer=optimizer, compile=True, checkpoint=checkpoint, rng=0
    )
    return model.eval(), history


def resumed(data: Any, settings: dict[str, Any], epochs: int, output: Path) -> nn.Module:
    """The model that was stopped half way, saved and resumed, which must be the one that ran through."""
    checkpoint = output / "training.safetensors"
    checkpoint.unlink(missing_ok=True)
    trained(data, settings, epochs // 2, checkpoint)
    model, history = trained(data, settings, epochs, checkpoint)
    with tempfile.TemporaryDirectory() as folder:
        whole, _ = trained(data, settings, epochs, Path(folder) / "whole.safetensors")
    assert all(np.array_equal(a, b) for a, b in zip(model.state_dict().values(), whole.state_dict().values()))
    print(f"5. trained: loss {history['loss'][0]:.3f} to {history['loss'][-1]:.3f}, native steps")
    print(f"6. resumed after {epochs // 2} of {epochs} epochs: the same weights to the last bit")
    return model


def exported(model: nn.Module, scaler: StandardScaler, X: Any, path: Path) -> onnxruntime.InferenceSession:
    """A runtime's session with the model: probabilities of raw rows, and their slopes with respect to each feature."""

    def logits(x: Any) -> Any:
        return model((x - scaler.mean_) / scaler.scale_)

    def explained(patients: Any) -> dict[str, Any]:
        slopes = tg.grad(lambda x: np.sum(logits(x)))(patients)
        return {"probability": nn.functional.sigmoid(logits(patients))[:, 0], "slopes": slopes}

    tg.export_onnx(explained, X[:2], path=path, batch_axis=0, output_names=["probability", "slopes"])
    session = onnxruntime.InferenceSession(path)
    for ours, theirs in zip(explained(X).values(), session.run(None, {"patients": X})):
        np.testing.assert_allclose(theirs, ours.numpy() if isinstance(ours, tg.Tensor) else ours, rtol=1e-9, atol=1e-12)
    print(f"7. exported: {path.stat().st_size / 1024:.0f} KB of ONNX with its gradients, the same in onnxruntime")
    return session


def contributions(session: onnxruntime.InferenceSession, mean: Any, patient: Any) -> Any:
    """By how much each feature moves the logit from that of the mean: its slope on the way, by integrated gradients."""
    way = mean + (np.arange(100)[:, None] + 0.5) / 100 * (patient - mean)
    (slopes,) = session.run(["slopes"], {"patients": way})
    return slopes.mean(axis=0) * (patient - mean)


def main() -> None:
    parser = argparse.ArgumentParser(description="From the definition of a model to a service.")
    parser.add_argument("--output", type=Path, default=Path("."), metavar="DIR", help="the folder for the files")
    parser.add_argument("--epochs", type=int, default=EPOCHS, metavar="N", help="the epochs of the last training")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)

    heart = tg.datasets.load_heart()
    X, rest, y, rest_y = train_test_split(heart.data, heart.target, test_size=0.2, random_state=0)
    scaler = StandardScaler().fit(X)
    data = scaler.transform(X), y[:, None].astype(float)

    print(f"1. defined: {sum(w.size for w in Network(13, 1).parameters())} parameters")
    verification = tg.training.verify_training(Network(13, 1, rng=0), LOSS, (data[0][:64], data[1][:64]))
    print(f"2. verified: {sum(finding.ok is True for finding in verification.findings)} checks passed")
    pipeline = make_pipeline(StandardScaler(), Classifier(Network, epochs=EPOCHS, batch_size=32, random_state=0))
    scores = cross_val_score(pipeline, X, y, cv=5)
    print(f"3. cross-validated: {100 * scores.mean():.0f} % ± {100 * scores.std(ddof=1):.0f}")
    settings = search(X, y)
    model = resumed(data, settings, arguments.epochs, arguments.output)
    session = exported(model, scaler, X, arguments.output / "model.onnx")

    (probabilities,) = session.run(["probability"], {"patients": rest})
    print(f"8. run in onnxruntime: {100 * np.mean((probabilities > 0.5) == rest_y):.0f} % of {len(rest)} new patients")
    patient = int(np.argmax(probabilities))
    shares = contributions(session, scaler.mean_, rest[patient])
    print(f"9. explained: patient {patient} has a probability of {probabilities[patient]:.2f}; most of its logit is")
    for k in np.argsort(-abs(shares))[:4]:
        print(f"   {shares[k]:+.2f} from {heart.feature_names[k]} = {rest[patient, k]:g} (mean {scaler.mean_[k]:.3g})")


if __name__ == "__main__":
    main()
