"""The NumPy backend: a program as source that a person could have written, and as modules of their own."""
