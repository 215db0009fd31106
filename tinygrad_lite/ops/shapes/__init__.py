"""Where entries stand: shapes, indices, joining, padding, filling."""
