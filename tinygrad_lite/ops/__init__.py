"""Floor 1. What each operation computes and how it differentiates; nothing here knows of tensors."""
