"""Other values that an operation can meet: symbols, complex steps, random rounding, recordings."""
