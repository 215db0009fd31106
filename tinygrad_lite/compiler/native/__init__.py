"""The native backend: a program as loops, compiled by LLVM."""
