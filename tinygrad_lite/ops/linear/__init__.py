"""Linear algebra: products, contractions, decompositions, norms."""
