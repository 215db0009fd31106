"""The names that a function's code reads from outside: global names and those that it closes over."""

import dis
from functools import lru_cache
from itertools import pairwise, takewhile
from types import CodeType
from typing import Any, NamedTuple

_ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD")
_SILENT = ("PUSH_NULL", "CACHE", "EXTENDED_ARG", "NOP")


class Read(NamedTuple):
    """A name that is read.

    Attributes:
        is_free: whether the function closes over it; otherwise, it is global.
        path: the attributes (True, name) and the constant keys (False, key) that are read from its value at once, as
            in settings.rates["first"].
    """

    name: str
    is_free: bool
    path: tuple[tuple[bool, Any], ...]


@lru_cache(10_000)
def reads_of(code: CodeType) -> tuple[Read, ...]:
    """What a function's code reads, with the functions inside it."""
    own = [x for x in dis.get_instructions(code) if x.opname not in _SILENT]
    reads = [_read(own, i, code) for i in range(len(own))]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            inner = reads_of(constant)
            reads += [read for read in inner if not read.is_free or read.name in code.co_freevars]
    return tuple(dict.fromkeys(read for read in reads if read is not None))


@lru_cache(10_000)
def imports_of(code: CodeType) -> tuple[tuple[str, int], ...]:
    """The modules that a function's code imports, each with its level, which is 0 unless it is relative."""
    own = [x for x in dis.get_instructions(code) if x.opname not in _SILENT]
    direct = [(x.argval, own[i - 2].argval) for i, x in enumerate(own) if x.opname == "IMPORT_NAME"]
    inner = [imports_of(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    return tuple(dict.fromkeys([*direct, *(entry for imports in inner for entry in imports)]))


@lru_cache(10_000)
def names_in(code: CodeType) -> frozenset[str]:
    """All global names and attributes that occur in a function's code."""
    return frozenset(code.co_names).union(*(names_in(x) for x in code.co_consts if isinstance(x, CodeType)))


@lru_cache(10_000)
def compares_identities(code: CodeType) -> bool:
    """Whether a function's code asks whether something `is` anything but None, as `case True:` does, too."""
    for before, x in pairwise(dis.get_instructions(code)):
        if x.opname == "IS_OP" and not (_is_constant(before) and before.argval is None):
            return True
    return any(compares_identities(x) for x in code.co_consts if isinstance(x, CodeType))


@lru_cache(10_000)
def catches_errors(code: CodeType) -> bool:
    """Whether a function's code may go on after an error, by `except` or `contextlib.suppress`."""
    for x, after in pairwise(dis.get_instructions(code)):
        if x.opname == "PUSH_EXC_INFO" and after.opname != "WITH_EXCEPT_START":
            return True
    return "suppress" in code.co_names or any(catches_errors(x) for x in code.co_consts if isinstance(x, CodeType))


def _read(all_of_them: list[dis.Instruction], i: int, code: CodeType) -> Read | None:
    name, kind = all_of_them[i].argval, all_of_them[i].opname
    is_free = kind in ("LOAD_DEREF", "LOAD_CLASSDEREF") and name in code.co_freevars
    if not is_free and kind not in ("LOAD_GLOBAL", "LOAD_NAME"):
        return None
    after = all_of_them[i + 1 : i + 20]
    if _counts(after, name):
        return Read(name, is_free, ((False, after[0].argval),) if _stores_entry(after) else ())
    return Read(name, is_free, tuple(_path(after)))


def _path(after: list[dis.Instruction]) -> list[tuple[bool, Any]]:
    path: list[tuple[bool, Any]] = []
    while after:
        if after[0].opname in _ATTRIBUTES:
            path.append((True, after[0].argval))
            after = after[1:]
        elif len(after) > 1 and _is_constant(after[0]) and _is_subscript(after[1]):
            path.append((False, after[0].argval))
            after = after[2:]
        else:
            break
    return path


def _counts(after: list[dis.Instruction], name: str) -> bool:
    """Whether a name, or a constant entry of its value, is only read to be assigned anew by `+=` or the like."""
    if _stores_entry(after):
        rest = after[4:]
        return _is_subscript(after[3]) and _is_in_place(rest) and _then(rest[2:], "STORE_SUBSCR")
    return _is_in_place(after) and _stores(after, name)


def _stores_entry(after: list[dis.Instruction]) -> bool:
    return len(after) > 4 and _is_constant(after[0]) and after[1].opname == after[2].opname == "COPY"


def _is_in_place(after: list[dis.Instruction]) -> bool:
    return len(after) > 1 and after[1].opname == "BINARY_OP" and after[1].argrepr.endswith("=")


def _stores(after: list[dis.Instruction], name: str) -> bool:
    return len(after) > 2 and after[2].opname in ("STORE_GLOBAL", "STORE_DEREF") and after[2].argval == name


def _then(after: list[dis.Instruction], kind: str) -> bool:
    """Whether an instruction of this kind follows, after those that only arrange the stack."""
    rest = list(takewhile(lambda x: x.opname in ("SWAP", "ROT_TWO", "ROT_THREE"), after))
    return len(after) > len(rest) and after[len(rest)].opname == kind


def _is_constant(x: dis.Instruction) -> bool:
    return x.opname in ("LOAD_CONST", "LOAD_SMALL_INT")


def _is_subscript(x: dis.Instruction) -> bool:
    return x.opname == "BINARY_SUBSCR" or (x.opname == "BINARY_OP" and x.argrepr == "[]")
