"""What the gradient is held against: slopes with a bound of their error, and what rounding hides."""
