"""The recording of a function: what it computes as a program, and what it reads and writes outside."""
