"""What a gradient is compared with: slopes with a bound of their error, and the effects of rounding."""
