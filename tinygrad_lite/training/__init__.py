"""The training loop, its checks before and during a run, and checkpoints."""
