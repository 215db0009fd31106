"""PyTorch and JAX; None where they are not installed."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any


def _peer(name: str) -> Any:
    return import_module(name) if find_spec(name.split(".")[0]) else None


torch = _peer("torch")
jax = _peer("jax")
jnp = _peer("jax.numpy")
