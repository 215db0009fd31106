"""What a model's gradients tell without a reference: the audit, and the first NaN or infinity."""
