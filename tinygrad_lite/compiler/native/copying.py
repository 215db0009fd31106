"""Native copies of what other code has put into a program's places, into the program's own memory.

Two programs of one function, as for a whole batch and for the rest of the data, hand their parameters to each other in
this way at each change from one to the other.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from tinygrad_lite.compiler.native.machine import HEAD, HOLD, Machine, callable_at, reading
from tinygrad_lite.engine.op import Array

_AXES, _LENGTHS, _STRIDES, _DTYPE = (HEAD + ahead for ahead in (8, 16, 24, 40))
"""Where NumPy's array object has the number of its axes, their lengths and strides, and its dtype."""

_STATE = {"array.type": "ptr", "fine": "ptr", "misfit": "ptr", "hold": "ptr"}
"""What `self` holds, before the sizes of the targets in bytes: NumPy's class, False and True, and Py_IncRef."""

COPIER = f"""
define ptr @NAME(ptr %self, ptr %given, i64 %count) nounwind {{
begin:
{reading(_STATE)}
  %sizes = getelementptr i64, ptr %state, i64 {len(_STATE)}
  br label %pair
pair:
  %i = phi i64 [ 0, %begin ], [ %i.next, %fitting ]
  %are.all = icmp uge i64 %i, %count
  br i1 %are.all, label %copies, label %look
look:
  %from.address = getelementptr ptr, ptr %given, i64 %i
  %to.address = getelementptr ptr, ptr %from.address, i64 1
  %from = load ptr, ptr %from.address
  %to = load ptr, ptr %to.address
  %type.address = getelementptr i8, ptr %from, i64 {HEAD - 8}
  %type = load ptr, ptr %type.address
  %is.array = icmp eq ptr %type, %array.type
  br i1 %is.array, label %form, label %refused
form:
  %from.dtype.address = getelementptr i8, ptr %from, i64 {_DTYPE}
  %to.dtype.address = getelementptr i8, ptr %to, i64 {_DTYPE}
  %from.dtype = load ptr, ptr %from.dtype.address
  %to.dtype = load ptr, ptr %to.dtype.address
  %from.axes.address = getelementptr i8, ptr %from, i64 {_AXES}
  %to.axes.address = getelementptr i8, ptr %to, i64 {_AXES}
  %from.axes = load i32, ptr %from.axes.address
  %to.axes = load i32, ptr %to.axes.address
  %same.dtype = icmp eq ptr %from.dtype, %to.dtype
  %same.axes = icmp eq i32 %from.axes, %to.axes
  %same.form = and i1 %same.dtype, %same.axes
  %axes = sext i32 %to.axes to i64
  %from.lengths.address = getelementptr i8, ptr %from, i64 {_LENGTHS}
  %to.lengths.address = getelementptr i8, ptr %to, i64 {_LENGTHS}
  %from.strides.address = getelementptr i8, ptr %from, i64 {_STRIDES}
  %to.strides.address = getelementptr i8, ptr %to, i64 {_STRIDES}
  %from.lengths = load ptr, ptr %from.lengths.address
  %to.lengths = load ptr, ptr %to.lengths.address
  %from.strides = load ptr, ptr %from.strides.address
  %to.strides = load ptr, ptr %to.strides.address
  br i1 %same.form, label %axis, label %refused
axis:
  %k = phi i64 [ 0, %form ], [ %k.next, %same ]
  %are.same = icmp eq i64 %k, %axes
  br i1 %are.same, label %fitting, label %compare
compare:
  %from.length.address = getelementptr i64, ptr %from.lengths, i64 %k
  %to.length.address = getelementptr i64, ptr %to.lengths, i64 %k
  %from.stride.address = getelementptr i64, ptr %from.strides, i64 %k
  %to.stride.address = getelementptr i64, ptr %to.strides, i64 %k
  %from.length = load i64, ptr %from.length.address
  %to.length = load i64, ptr %to.length.address
  %from.stride = load i64, ptr %from.stride.address
  %to.stride = load i64, ptr %to.stride.address
  %same.length = icmp eq i64 %from.length, %to.length
  %same.stride = icmp eq i64 %from.stride, %to.stride
  %same.both = and i1 %same.length, %same.stride
  br i1 %same.both, label %same, label %refused
same:
  %k.next = add i64 %k, 1
  br label %axis
fitting:
  %i.next = add i64 %i, 2
  br label %pair
refused:
  call void %hold(ptr %misfit)
  ret ptr %misfit
copies:
  %j = phi i64 [ 0, %pair ], [ %j.next, %copy ]
  %is.over = icmp uge i64 %j, %count
  br i1 %is.over, label %end, label %copy
copy:
  %source.address = getelementptr ptr, ptr %given, i64 %j
  %target.address = getelementptr ptr, ptr %source.address, i64 1
  %source = load ptr, ptr %source.address
  %target = load ptr, ptr %target.address
  %source.data.address = getelementptr i8, ptr %source, i64 {HEAD}
  %target.data.address = getelementptr i8, ptr %target, i64 {HEAD}
  %source.data = load ptr, ptr %source.data.address
  %target.data = load ptr, ptr %target.data.address
  %position = lshr i64 %j, 1
  %size.address = getelementptr i64, ptr %sizes, i64 %position
  %size = load i64, ptr %size.address
  call void @llvm.memmove.p0.p0.i64(ptr %target.data, ptr %source.data, i64 %size, i1 false)
  %j.next = add i64 %j, 2
  br label %copies
end:
  call void %hold(ptr %fine)
  ret ptr %fine
}}
"""
"""Takes pairs of arrays; copies the entries of the first of each pair to the second if all pairs are of one form."""


def taking(targets: Sequence[Array]) -> Callable[..., bool]:
    """A function of sources and targets, in turn, which copies the sources; it returns whether their forms differ.

    The targets fill their memory without gaps, and so do other arrays of their forms that take their places.
    """
    state = np.array([id(np.ndarray), id(False), id(True), HOLD, *(x.nbytes for x in targets)], np.int64)
    natively = callable_at(_machine().addresses[COPIER], state)
    return lambda *arrays: natively(*arrays) and _by_numpy(*arrays)


def _by_numpy(*arrays: Any) -> bool:
    """Do the same where entries lie in another order."""
    pairs = [*zip(arrays[::2], arrays[1::2])]
    if any(type(x) is not np.ndarray or x.shape != y.shape or x.dtype is not y.dtype for x, y in pairs):
        return True
    for x, y in pairs:
        if x is not y:
            can_be_written = y.flags.writeable
            y.setflags(write=True)
            y[...] = x
            y.setflags(write=can_be_written)
    return False


@cache
def _machine() -> Machine:
    return Machine([COPIER])
