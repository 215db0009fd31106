"""C: a program as one file of C99."""
