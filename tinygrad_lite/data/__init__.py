"""Batches of data, in an order that can be saved and resumed."""
