"""The NumPy backend: a program as source that a person would have written, and as modules that leave the house."""
