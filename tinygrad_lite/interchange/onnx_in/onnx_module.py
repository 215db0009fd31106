"""`OnnxModule`: a module whose forward pass was written from an ONNX graph, and can be read."""

import ast
import linecache
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import count
from types import FunctionType, SimpleNamespace
from typing import Any

import numpy as np

from tinygrad_lite.errors import InputError, UsageError
from tinygrad_lite.interchange.onnx_in import (
    onnx_attention,
    onnx_detection,
    onnx_functions,
    onnx_images,
    onnx_layers,
    onnx_lists,
    onnx_quantized,
    onnx_signals,
)
from tinygrad_lite.nn import functional
from tinygrad_lite.nn.module import Module

_numbers = count(1)
_OX = SimpleNamespace(
    **{
        name: function
        for module in (
            onnx_attention,
            onnx_detection,
            onnx_functions,
            onnx_images,
            onnx_layers,
            onnx_lists,
            onnx_quantized,
            onnx_signals,
        )
        for name, function in vars(module).items()
        if not name.startswith("_")
        and (getattr(function, "__module__", None) == module.__name__ or name in getattr(module, "__all__", ()))
    }
)
"""The functions that the sources call `ox`."""


class OnnxModule(Module):
    """A module whose parameters and forward pass come from an ONNX file, see `from_onnx`.

    Attributes:
        source: the forward pass as Python: lines of NumPy, and of `tg.nn.functional` as `F`.
        inputs, outputs: the names that its arguments and its results have in the file.

    `module["name"]` is the parameter, or the constant array, with this name in the file. Keywords of a call may be the
    file's names, too.
    """

    source: str

    def __init__(self, source: str, arrays: Mapping[str, Any], inputs: Sequence[str], outputs: Sequence[str]) -> None:
        self.source, self.inputs, self.outputs = source, tuple(inputs), tuple(outputs)
        _forward(source)
        self._arrays = dict(arrays)

    def fields(self) -> Mapping[str, Any]:
        return self._arrays

    def __getitem__(self, name: str) -> Any:
        try:
            return self._arrays[name]
        except KeyError:
            raise InputError(f"this model has no array {name!r}; it has {', '.join(self._arrays)}") from None

    def forward(self, *inputs: Any, **options: Any) -> Any:
        function = _forward(self.source)
        if options:
            names = dict(zip(self.inputs, function.__code__.co_varnames[1:]))
            options = {names.get(name, name): _received(x) for name, x in options.items()}
        return function(self, *map(_received, inputs), **options)

    def __repr__(self) -> str:
        return f"{super().__repr__()}\n{self.source}"


def _letting_go(source: str) -> ast.Module:
    """A function that drops each variable after its last use, so that its memory is reused while it is in the cache.

    On networks with convolutions this saves a third of the time and half of the memory.
    """
    tree = ast.parse(source)
    (function,) = tree.body
    assert isinstance(function, ast.FunctionDef)
    last: dict[str, ast.stmt] = {}
    made: set[str] = set()
    for statement in function.body:
        names = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
        last.update((node.id, statement) for node in names)
        if isinstance(statement, ast.Assign):
            made |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
    ending: dict[ast.stmt, list[ast.expr]] = {}
    for name in made:
        ending.setdefault(last[name], []).append(ast.Name(name, ast.Del()))
    body = []
    for statement in function.body:
        body.append(statement)
        if statement in ending and not isinstance(statement, ast.Return):
            body.append(ast.fix_missing_locations(ast.copy_location(ast.Delete(ending[statement]), statement)))
    function.body = body
    return tree


def _received(x: Any) -> Any:
    """An input: a number or nested lists of them become an array; a list of arrays stays a list."""
    is_sequence = isinstance(x, list) and any(hasattr(part, "dtype") for part in x)
    return x if hasattr(x, "dtype") or x is None or is_sequence else np.asarray(x)


@lru_cache(maxsize=64)
def _forward(source: str) -> FunctionType:
    """The function that a source defines; Python finds its lines, as it does those of a file."""
    file = f"<ONNX model {next(_numbers)}>"
    linecache.cache[file] = len(source), None, source.splitlines(keepends=True), file
    names: dict[str, Any] = {"np": np, "F": functional, "ox": _OX, "__name__": "onnx_model"}
    try:
        exec(compile(_letting_go(source), file, "exec"), names)  # noqa: S102  # written here, from names without other characters
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise UsageError(f"the graphs in this model are nested too deeply for Python: {error}") from error
    return names["forward"]  # type: ignore[no-any-return]
