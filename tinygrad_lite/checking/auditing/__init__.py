"""What the gradients of a model tell by themselves: the audit, and the first NaN or infinity."""
