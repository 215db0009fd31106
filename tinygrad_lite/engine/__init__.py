"""What one reads in fifteen minutes: an operation, a value with a history, and the reverse pass."""
