"""Sums of gradients over several processes, by MPI."""
