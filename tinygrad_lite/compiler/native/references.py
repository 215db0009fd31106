"""How many references there are to the arrays of a program, summed natively: an entry asks it in each run."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from tinygrad_lite.compiler.native.machine import HEAD, HOLD, Machine, callable_at, reading

_COUNT = HEAD - 16
"""Where CPython's object has the number of its references, in whose lower half this number lies in each version."""

_STATE = {"latest": "i64", "before": "i64", "number": "i64", "same": "ptr", "other": "ptr", "hold": "ptr"}
"""What `self` holds, before the things: how many references there were at the last count and at first; how many things
there are; False and True; and Py_IncRef."""

COUNTER = f"""
define ptr @NAME(ptr %self, ptr %given, i64 %count) nounwind {{
begin:
{reading(_STATE)}
  %things = getelementptr ptr, ptr %state, i64 {len(_STATE)}
  br label %thing
thing:
  %i = phi i64 [ 0, %begin ], [ %i.next, %add ]
  %sum = phi i64 [ 0, %begin ], [ %sum.next, %add ]
  %are.all = icmp uge i64 %i, %number
  br i1 %are.all, label %end, label %add
add:
  %thing.address = getelementptr ptr, ptr %things, i64 %i
  %object = load ptr, ptr %thing.address
  %references.address = getelementptr i8, ptr %object, i64 {_COUNT}
  %references = load i32, ptr %references.address
  %wide = zext i32 %references to i64
  %sum.next = add i64 %sum, %wide
  %i.next = add i64 %i, 1
  br label %thing
end:
  store i64 %sum, ptr %state
  %is.same = icmp eq i64 %sum, %before
  %answer = select i1 %is.same, ptr %same, ptr %other
  call void %hold(ptr %answer)
  ret ptr %answer
}}
"""
"""Sums the numbers of references to objects, and answers whether there were as many before."""


class References:
    """The references to some objects, which somebody else must keep alive.

    Attributes:
        differ: a built-in function that counts them, and says whether there are more or fewer than at first.
        sums: how many there were at the last count, and at first.
    """

    def __init__(self, things: Sequence[Any]) -> None:
        head = [0, 0, len(things), id(False), id(True), HOLD]
        self._state = np.array([*head, *map(id, things)], np.int64)
        self.differ = callable_at(_machine().addresses[COUNTER], self._state)
        self._state[1] = self._sum()
        memory = self._state.data  # for one number, quicker than an array
        self.sums, self._addresses = memory[:2], memory[len(_STATE) :]

    def _sum(self) -> int:
        self.differ()
        return int(self._state[0])

    def replace(self, i: int, thing: Any) -> None:
        """Count the references to another object in place of one of these; there should be as many."""
        self._addresses[i] = id(thing)


@cache
def _machine() -> Machine:
    return Machine([COUNTER])
