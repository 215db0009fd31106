"""Programs that people write, each written for tinygrad_lite, PyTorch and JAX."""
