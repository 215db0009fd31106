"""The operations of neural networks that NumPy lacks: activations and losses."""
