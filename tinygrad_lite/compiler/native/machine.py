"""Machine code: compiles the text of functions with LLVM, and keeps the code on disk for the next time.

The key of a file covers everything that the code depends on: the text, the version of LLVM, and the processor. A file
begins with a checksum of the rest, so that half a file is compiled anew. Files are read only if nobody but the user can
write to them or their folder, since their content runs. The files used longest ago make room for the rest.
"""

import ctypes
import hashlib
import os
import re
import stat
import tempfile
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

HEAD = object.__basicsize__  # bytes before the address of an array's data, in CPython's object

HOLD = ctypes.cast(ctypes.pythonapi.Py_IncRef, ctypes.c_void_p).value
"""The address of the function that counts one reference more, as of what native code returns."""

STATE = {
    "table": "ptr", "length": "i64", "arguments": "ptr", "none": "ptr", "other": "ptr", "hold": "ptr",
    "first": "i64", "last": "i64",
}  # fmt: skip
"""What the array of integers that is `self` to `run` holds, in order: the table of functions with their addresses and
its length; the arguments' table; None, what else is returned, and Py_IncRef; the first and the last address of the
arena, in which no argument may lie. Behind these are two numbers that it writes when a function returns one other than
0: the position in the table, and what was returned."""


def reading(state: Mapping[str, str]) -> str:
    """The lines that load what the array of integers holds that is `self`: names and kinds, in order from its start."""
    lines = [f"%state.address = getelementptr i8, ptr %self, i64 {HEAD}", "%state = load ptr, ptr %state.address"]
    for i, (name, kind) in enumerate(state.items()):
        lines += [f"%{name}.address = getelementptr i64, ptr %state, i64 {i}"]
        lines += [f"%{name} = load {kind}, ptr %{name}.address"]
    return "\n".join(f"  {line}" for line in lines)


RUNNER = f"""
define ptr @NAME(ptr %self, ptr %given, i64 %count) nounwind {{
begin:
{reading(STATE)}
  br label %argument
argument:
  %i = phi i64 [ 0, %begin ], [ %i.next, %bound ]
  %all = icmp eq i64 %i, %count
  br i1 %all, label %steps, label %bind
bind:
  %array.address = getelementptr ptr, ptr %given, i64 %i
  %array = load ptr, ptr %array.address
  %data.address = getelementptr i8, ptr %array, i64 {HEAD}
  %data = load i64, ptr %data.address
  %from.first = icmp uge i64 %data, %first
  %to.last = icmp ule i64 %data, %last
  %inside = and i1 %from.first, %to.last
  br i1 %inside, label %refused, label %compare
compare:
  %three = mul i64 %i, 3
  %record = getelementptr i64, ptr %arguments, i64 %three
  %before = load i64, ptr %record
  %same = icmp eq i64 %before, %data
  br i1 %same, label %bound, label %change
change:
  store i64 %data, ptr %record
  %places.address = getelementptr i64, ptr %record, i64 1
  %number.address = getelementptr i64, ptr %record, i64 2
  %places = load ptr, ptr %places.address
  %number = load i64, ptr %number.address
  br label %patch
patch:
  %j = phi i64 [ 0, %change ], [ %j.next, %put ]
  %done = icmp eq i64 %j, %number
  br i1 %done, label %bound, label %put
put:
  %twice = mul i64 %j, 2
  %place.address = getelementptr ptr, ptr %places, i64 %twice
  %ahead.address = getelementptr i64, ptr %place.address, i64 1
  %place = load ptr, ptr %place.address
  %ahead = load i64, ptr %ahead.address
  %address = add i64 %data, %ahead
  store i64 %address, ptr %place
  %j.next = add i64 %j, 1
  br label %patch
bound:
  %i.next = add i64 %i, 1
  br label %argument
refused:
  call void %hold(ptr %other)
  ret ptr %other
steps:
  %k = phi i64 [ 0, %argument ], [ %k.next, %following ]
  %over = icmp eq i64 %k, %length
  br i1 %over, label %end, label %step
step:
  %two = mul i64 %k, 2
  %function.address = getelementptr ptr, ptr %table, i64 %two
  %addresses.address = getelementptr ptr, ptr %function.address, i64 1
  %function = load ptr, ptr %function.address
  %addresses = load ptr, ptr %addresses.address
  %answer = call i64 %function(ptr %addresses)
  %refuses = icmp ne i64 %answer, 0
  br i1 %refuses, label %note, label %following
note:
  %step.place = getelementptr i64, ptr %state, i64 {len(STATE)}
  %answer.place = getelementptr i64, ptr %step.place, i64 1
  store i64 %k, ptr %step.place
  store i64 %answer, ptr %answer.place
  br label %refused
following:
  %k.next = add i64 %k, 1
  br label %steps
end:
  call void %hold(ptr %none)
  ret ptr %none
}}
"""
"""Runs the table, after the addresses of the arguments' data have been put into place."""


DIGITS = 32  # of the name of a file

LARGEST = 2**28
"""The bytes of machine code on disk beyond which the files that were used longest ago are removed."""


class Machine:
    """The machine code of some functions.

    Attributes:
        addresses: those of the functions, by their text.

    Args:
        texts: the functions, each named NAME.
        shared: functions that these call, under their own names.
    """

    def __init__(self, texts: Iterable[str], shared: Iterable[str] = ()) -> None:
        import llvmlite.binding as llvm

        names = {text: f"segment_{i}" for i, text in enumerate(texts)}
        code = _code(_module([*shared, *(text.replace("@NAME", f"@{name}") for text, name in names.items())]))
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target())
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        self.addresses = {text: self._engine.get_function_address(name) for text, name in names.items()}


_machines: WeakValueDictionary[str, Machine] = WeakValueDictionary()
_latest: deque[Machine] = deque(maxlen=100)  # so that a program which is made anew finds its code


def has_code(text: str) -> bool:
    """Whether a machine has the code of a function."""
    return text in _machines


def machines(functions: Mapping[str, Mapping[str, str]]) -> dict[str, Machine]:
    """For each function, by its text, a machine that has its code; those that none has yet are compiled together.

    Args:
        functions: for each function the functions that it calls, by name.
    """
    found = {text: machine for text in functions if (machine := _machines.get(text)) is not None}
    missing = [text for text in functions if text not in found]
    if missing:
        shared = {name: text for caller in missing for name, text in functions[caller].items()}
        made = Machine(missing, shared.values())
        _latest.append(made)
        found |= dict.fromkeys(missing, made)
        _machines.update(dict.fromkeys(missing, made))
    return found


@cache
def table_runner() -> Machine:
    """The machine that has `RUNNER`, which is the same for all programs."""
    return Machine([RUNNER])


def vector_bits() -> int:
    """The size of the processor's vector registers, in bits."""
    _, features = _processor()
    if "+avx512f" in features:
        return 512
    return 256 if "+avx" in features else 128


def cache_directory() -> Path:
    """The folder for machine code: TINYGRAD_LITE_CACHE, or a folder in the user's cache."""
    chosen = os.environ.get("TINYGRAD_LITE_CACHE")
    users = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(chosen) if chosen else users / "tinygrad_lite"


@cache
def _processor() -> tuple[str, str]:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


def _target() -> Any:
    import llvmlite.binding as llvm

    cpu, features = _processor()
    triple = llvm.Target.from_default_triple()
    return triple.create_target_machine(cpu=cpu, features=features, opt=2, codemodel="jitdefault", jit=True)


def _module(texts: Sequence[str]) -> str:
    """The functions as one module, with what they declare and note."""
    body = "\n".join(texts)
    count = 1 + max((int(number) for number in re.findall(r"!S(\d+)_", body)), default=0)
    domain, scopes = 1, range(3, 3 + count)
    notes = ["!0 = !{}", "!1 = distinct !{!1}", '!2 = !{!"llvm.loop.unroll.disable"}']
    notes += [f"!{scope} = distinct !{{!{scope}, !{domain}}}" for scope in scopes]
    for i, scope in enumerate(scopes):
        others = ", ".join(f"!{other}" for other in scopes if other != scope)
        notes += [f"!{3 + count + 2 * i} = !{{!{scope}}}", f"!{4 + count + 2 * i} = !{{{others}}}"]
    loop = 3 + 3 * count
    notes.append(f"!{loop} = distinct !{{!{loop}, !2}}")
    body = body.replace("!as_written", f"!{loop}")
    body = re.sub(r"!S(\d+)_", lambda match: f"!{3 + count + 2 * int(match[1])}", body)
    body = re.sub(r"!N(\d+)_", lambda match: f"!{4 + count + 2 * int(match[1])}", body)
    declared = {}
    for kind, name, operands in re.findall(r"call (?:reassoc )?(<?[\w ]+>?) @(llvm[\w.]+)\((.*)\)", body):
        kinds = [re.match(r"<[^>]*>|\w+", operand.strip())[0] for operand in _split(operands)]  # type: ignore[index]
        declared[name] = f"declare {kind} @{name}({', '.join(kinds)})"
    return "\n".join([*declared.values(), body, *notes, ""])


def _split(operands: str) -> list[str]:
    return re.findall(r"(?:<[^>]*>|[^,<])+", operands)


def _code(text: str) -> bytes:
    """The machine code of a module, from disk if it is there."""
    import llvmlite

    facts = repr((text, llvmlite.__version__, _processor()))
    file = cache_directory() / f"{hashlib.sha256(facts.encode()).hexdigest()[:DIGITS]}.o"
    kept = _read(file)
    if kept is not None:
        return kept
    code = _compiled(text)
    _write(file, code)
    return code


def _compiled(text: str) -> bytes:
    import llvmlite.binding as llvm

    target = _target()
    module = llvm.parse_assembly(text)
    module.triple = llvm.get_default_triple()
    module.data_layout = str(target.target_data)
    tuning = llvm.create_pipeline_tuning_options(speed_level=3)
    tuning.loop_vectorization = tuning.slp_vectorization = True
    tuning.loop_unrolling = False  # it takes several times as long to compile, without a measured gain
    builder = llvm.create_pass_builder(target, tuning)
    builder.getModulePassManager().run(module, builder)
    return bytes(target.emit_object(module))


def _is_own(path: Path) -> bool:
    """Whether nobody but the user can write to a file or folder."""
    if not hasattr(os, "getuid"):
        return True  # on Windows, only the user can write to the user's folders
    status = path.stat()
    return status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _read(file: Path) -> bytes | None:
    try:
        if not _is_own(file.parent) or not _is_own(file):
            return None
        content = file.read_bytes()
    except OSError:
        return None
    with suppress(OSError):
        os.utime(file)  # it has been used
    checksum, code = content[:32], content[32:]
    return code if hashlib.sha256(code).digest() == checksum else None


def _write(file: Path, code: bytes) -> None:
    """Write a file as a whole or not at all."""
    try:
        if not file.parent.exists():
            file.parent.mkdir(parents=True)
            file.parent.chmod(0o700)
        if not _is_own(file.parent):
            return
        with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as half:
            half.write(hashlib.sha256(code).digest() + code)
        os.replace(half.name, file)
        _make_room(file.parent)
    except OSError:
        pass  # the code runs all the same


@cache  # looking through the folder takes some time: once in a process
def _make_room(folder: Path) -> None:
    """Remove the files that were used longest ago if there is more code in the folder than it may hold."""
    ours = folder.glob("[0-9a-f]" * DIGITS + ".o")  # a folder that the user chose may have other files
    files = sorted(((x.stat().st_mtime, x.stat().st_size, x) for x in ours), reverse=True)
    for (_, _, file), size in zip(files, accumulate(size for _, size, _ in files)):
        if size > LARGEST:
            file.unlink(missing_ok=True)


class _Method(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


_VECTORCALL = 0x80  # METH_FASTCALL
_methods: dict[int, _Method] = {}
"""The descriptions of built-in functions, which these read even at their end, so that they live for ever."""


def callable_at(address: int, owner: Any) -> Any:
    """A built-in function of Python's that calls the C function at an address, with `owner` as its `self`."""
    # not by @cache, which in two threads at once may make two and keep one
    method = _methods.setdefault(address, _Method(b"run", address, _VECTORCALL, None))
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.argtypes, make.restype = [ctypes.POINTER(_Method), ctypes.py_object, ctypes.c_void_p], ctypes.py_object
    return make(ctypes.byref(method), owner, None)
