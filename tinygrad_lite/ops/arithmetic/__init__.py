"""Entry by entry, and over axes: the calculus table, choices, sums, sorts and curves."""
