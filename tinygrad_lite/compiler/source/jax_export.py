"""Export for JAX: the same text over jax.numpy, as a pure function: the state goes in, and the next state comes out."""

import ast
import io
import tokenize
from collections.abc import Sequence
from functools import reduce
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from tinygrad_lite.compiler.draws import Draw
from tinygrad_lite.compiler.source.export import constants_text, head
from tinygrad_lite.compiler.source.numpy_source import NumpySource
from tinygrad_lite.errors import UsageError

_JAXS = {"np": "jnp", "scipy": "jax.scipy"}


def jax_module(sources: Sequence[NumpySource]) -> str:
    """The text of the module.

    Raises:
        UsageError: if the program does what JAX cannot: it draws from NumPy's generators, or calls a function that
            jax.numpy lacks.
    """
    pure = [source.as_pure() for source in sources]
    for source in pure:
        _refuse(source)
    texts = [_renamed(source.text) for source in pure]
    _refuse_missing(texts)
    programs = [source.program for source in pure]
    values = {
        x
        for program in programs
        for x in (*program.inputs, *program.constants, *(call.result for call in program.calls))
    }
    dtypes = {x.dtype for x in values if not x.is_number}
    imports = ["import jax", "import jax.numpy as jnp"]
    if any(source.expressions.libraries for source in pure):
        imports.append("import jax.scipy.special")
    if dtypes & {np.dtype(np.float64), np.dtype(np.int64)}:
        imports += ["", 'jax.config.update("jax_enable_x64", True)  # as NumPy computes']
    else:
        imports.remove("import jax")
    returned = "its result and another state" if any(source.has_state for source in pure) else "its result"
    said = f"jax.numpy, with every gradient written out.\n\nIt is pure: it returns {returned}, and jax.jit compiles it."
    constants = _renamed("\n".join(constants_text(pure)))
    parts = [head(pure, said), "\n".join(imports), *([constants] if constants else [])]
    return "\n\n".join(parts) + "\n\n\n" + "\n\n\n".join(text.rstrip() for text in texts) + "\n"


def _refuse(source: NumpySource) -> None:
    for call in source.program.calls:
        if isinstance(call.op, Draw):
            raise UsageError(
                f"{source.name} cannot be exported for JAX: it draws random numbers from a NumPy generator; draw them "
                "outside and pass them as an argument"
            )
    for name in source.expressions.helpers:
        raise UsageError(f"{source.name} cannot be exported for JAX: {name} is not a function of jax.numpy")


def _refuse_missing(texts: Sequence[str]) -> None:
    """Refuse functions that JAX lacks, where JAX is there to say so."""
    if not find_spec("jax"):
        return
    libraries = {"jnp": import_module("jax.numpy"), "jax": import_module("jax")}
    import_module("jax.scipy.special")
    for path in sorted({path for text in texts for path in map(_path, ast.walk(ast.parse(text))) if path}):
        library, *names = path.split(".")
        try:
            reduce(getattr, names, libraries[library])
        except AttributeError:
            raise UsageError(f"this program cannot be exported for JAX: it calls {path}, which JAX lacks") from None


def _path(node: ast.AST) -> str:
    """The dotted name of a library's function; empty for anything else."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    is_librarys = isinstance(node, ast.Name) and node.id in ("jnp", "jax") and names
    return ".".join([node.id, *names[::-1]]) if is_librarys else ""  # type: ignore[attr-defined]


def _renamed(text: str) -> str:
    """The text with JAX's libraries in place of NumPy and SciPy; what is quoted or a comment stays."""
    lines = text.splitlines(keepends=True)
    tokens: list[Any] = list(tokenize.generate_tokens(io.StringIO(text).readline))
    for before, token in reversed([*zip([None, *tokens], tokens)]):
        is_library = token.type == tokenize.NAME and token.string in _JAXS
        if is_library and not (before is not None and before.string == "."):
            (row, start), (_, end) = token.start, token.end
            line = lines[row - 1]
            lines[row - 1] = line[:start] + _JAXS[token.string] + line[end:]
    return "".join(lines)
