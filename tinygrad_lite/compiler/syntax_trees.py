"""Syntax trees of Python are made and compiled by one thread at a time.

Python 3.11 counts the depth of a tree for all threads together, and takes another thread's count for a fault.
"""

from threading import RLock

ONE_AT_A_TIME = RLock()
