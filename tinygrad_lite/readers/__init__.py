"""Readers: other values that operations can take, such as symbols, complex steps, random rounding and recordings."""
