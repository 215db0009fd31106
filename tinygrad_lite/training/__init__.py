"""The training loop, its checks before and during a run, and checkpoints."""

from tinygrad_lite.training.checkpoints import load, save
from tinygrad_lite.training.finding import Finding
from tinygrad_lite.training.fit import fit
from tinygrad_lite.training.history import History
from tinygrad_lite.training.monitor import Monitor
from tinygrad_lite.training.recorder import Frame, Recorder
from tinygrad_lite.training.scipy_fit import ScipyFit, fit_scipy
from tinygrad_lite.training.training_run import Training
from tinygrad_lite.training.verification import Verification, verify_training

__all__ = [
    "Finding",
    "Frame",
    "History",
    "Monitor",
    "Recorder",
    "ScipyFit",
    "Training",
    "Verification",
    "fit",
    "fit_scipy",
    "load",
    "save",
    "verify_training",
]
