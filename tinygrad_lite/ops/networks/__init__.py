"""What networks are made of and NumPy lacks: activations and losses."""
