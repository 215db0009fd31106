"""Transforms make functions out of functions: gradients, Jacobians, forward mode, custom rules, checkpoints."""
