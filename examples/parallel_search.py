"""A search over the estimators' parameters in one process, under joblib's loky, and on a cluster of Dask.

    python examples/parallel_search.py [--epochs N] [--workers N]

Each fit of a search is a task of its own, so the three do the same work and find the same parameters. Each process uses
one thread, since the tasks would compete for the cores otherwise.

Needs the extras `estimators` and `arrays`.
"""

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # read when NumPy is imported, here and in workers

import argparse
import time
from contextlib import AbstractContextManager, nullcontext

from dask.distributed import Client, LocalCluster
from joblib import parallel_backend
from sklearn.model_selection import GridSearchCV

import tinygrad_lite as tg
from tinygrad_lite.estimators import Classifier

GRID = {"module__hidden": [50, 100], "lr": [0.001, 0.003, 0.01]}


def seconds(epochs: int, workers: int, backend: AbstractContextManager[object]) -> tuple[float, GridSearchCV]:
    """How long a search takes, and the search."""
    X, y = tg.datasets.load_digits(return_X_y=True)
    model = Classifier(epochs=epochs, compile=True, random_state=0)
    search = GridSearchCV(model, GRID, cv=4, n_jobs=workers, refit=False)
    with backend:
        start = time.perf_counter()
        search.fit(X / 16, y)
    return time.perf_counter() - start, search


def main() -> None:
    parser = argparse.ArgumentParser(description="Search parameters in one process and in several.")
    parser.add_argument("--epochs", type=int, default=60, metavar="N", help="the epochs of each of the 24 fits")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="the number of processes")
    arguments = parser.parse_args()
    epochs, workers = arguments.epochs, arguments.workers
    with LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
        contestants = {
            "one process": (1, nullcontext()),
            f"loky, {workers} processes": (workers, parallel_backend("loky")),
            f"Dask, {workers} workers": (workers, parallel_backend("dask")),
        }
        seconds(1, workers, parallel_backend("loky"))  # starts its processes, which Dask's workers are already
        first = None
        for name, (count, backend) in contestants.items():
            time_taken, search = seconds(epochs, count, backend)
            first = first or time_taken
            print(f"{name:<20} {time_taken:6.2f} s   {first / time_taken:.2f} times as fast   {search.best_params_}")


if __name__ == "__main__":
    main()
