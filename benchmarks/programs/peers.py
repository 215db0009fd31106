"""PyTorch and JAX, on one thread; None where they are not installed."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any


def _peer(name: str) -> Any:
    return import_module(name) if find_spec(name.split(".")[0]) else None


torch = _peer("torch")
jax = _peer("jax")
jnp = _peer("jax.numpy")

if torch:
    torch.set_num_threads(1)
if jax:
    jax.config.update("jax_enable_x64", True)  # float32 stays float32
