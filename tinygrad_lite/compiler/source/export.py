"""Export: a program's NumPy source as a module that needs NumPy alone."""

import ast
import dis
import inspect
import sys
import textwrap
from collections.abc import Callable, Sequence
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from tinygrad_lite.compiler.draws import GENERATORS
from tinygrad_lite.compiler.source.expressions import literal
from tinygrad_lite.compiler.source.numpy_source import WIDTH, NumpySource
from tinygrad_lite.engine.op import Op
from tinygrad_lite.errors import TinygradError, UsageError
from tinygrad_lite.foundation.signatures import path_of, without_annotations


def module(sources: Sequence[NumpySource]) -> str:
    """The text of the module: imports, constants, the functions that NumPy lacks, and the programs."""
    quoted = _Quoted()
    for name, helper in [item for source in sources for item in source.expressions.helpers.items()]:
        if isinstance(helper, GENERATORS):
            is_new = isinstance(helper, np.random.Generator)
            quoted.values[name] = "np.random.default_rng()" if is_new else "np.random.RandomState()"
        else:
            quoted.function(name, helper)
    values = constants_text(sources) + [f"{name} = {text}" for name, text in quoted.values.items()]
    libraries = {library for source in sources for library in source.expressions.libraries}
    needed = {f"import {library}.special" for library in libraries}  # the only part of SciPy that has rules
    imports = "\n".join(sorted({"import numpy as np", *needed, *quoted.imports}))
    said = "plain NumPy, with every gradient written out."
    parts = [head(sources, said), imports, *(["\n".join(values)] if values else [])]
    functions = [*quoted.functions.values(), *(source.text for source in sources)]
    return "\n\n".join(parts) + "\n\n\n" + "\n\n\n".join(text.rstrip() for text in functions) + "\n"


def constants_text(sources: Sequence[NumpySource]) -> list[str]:
    """The definitions of the programs' constants."""
    constants = {name: array for source in sources for name, array in source.expressions.constants.items()}
    return [
        _broken(f"{name} = np.array(", array.tolist(), _dtype(array)) if array.size else f"{name} = {literal(array)}"
        for name, array in constants.items()
    ]


def head(sources: Sequence[NumpySource], said: str) -> str:
    """The docstring of a module: what it is, and the state that it reads and writes."""
    first, *rest = sources
    text = f"`{first.name}`, recorded by tinygrad_lite: {said}"
    for source in rest:
        text += f"\n\nIts last results are the first arguments of `{source.name}`, which takes gradients of the others."
    places = "".join(f"\n    {_in_docstring(place.name)}: {form_of(x)}" for place, x in first.places.items())
    if places:
        text += f"\n\nThe state that `{first.name}` reads and writes is a dict of:\n{places}"
    return f'"""{text}\n"""' if "\n" in text else f'"""{text}"""'


def shown(name: str) -> str:
    """A name as a comment shows it: quoted, if it could be mistaken for something else."""
    is_plain = all(part.isidentifier() or part.isdecimal() for part in name.split("."))
    return name if is_plain else literal(name)


def _in_docstring(name: str) -> str:
    text = shown(name)
    return text if text == name else text.replace("\\", r"\\").replace('"', r"\"")


def _dtype(array: Any) -> str:
    return "" if array.dtype in (np.float64, np.int64, np.bool_) else f", {literal(array.dtype)}"


def _broken(head: str, values: Any, end: str) -> str:
    """The definition of an array, on as many lines as necessary."""
    line = f"{head}{literal(values)}{end})"
    if len(line) <= WIDTH:
        return line
    if not end:
        return "\n".join([head, *_lines(values, "    "), ")"])
    return "\n".join([head, *_lines(values, "    ")]) + f",\n    {end[2:]},\n)"


def _lines(values: Any, indent: str) -> list[str]:
    if not isinstance(values, list) or len(f"{indent}{literal(values)},") <= WIDTH:
        return [f"{indent}{literal(values)}"]
    parts = [_lines(value, indent + "    ") for value in values]
    return [f"{indent}[", *(line for part in parts for line in [*part[:-1], f"{part[-1]},"]), f"{indent}]"]


def form_of(x: Any) -> str:
    """The form of a variable, in words."""
    return "a number" if x.is_number else f"{x.dtype} of shape {x.shape}"


def _names(code: CodeType) -> set[str]:
    """The global names that a function reads, and the functions inside it; the name of an attribute is none."""
    inside = (_names(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    read = {step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return read.union(*inside)


def _text(tree: ast.AST) -> str:
    """The text of a definition, in double quotes unless a text in it holds quotes itself."""
    text = ast.unparse(tree)
    doubled = text.replace("'", '"')
    try:
        return doubled if ast.dump(ast.parse(doubled)) == ast.dump(ast.parse(text)) else text
    except SyntaxError:
        return text


class _Quoted:
    """Source of our own functions, together with everything that they call.

    Attributes:
        imports, values, functions: the import lines and definitions that they need, by name.
    """

    def __init__(self) -> None:
        self.imports: set[str] = set()
        self.values: dict[str, str] = {}
        self.functions: dict[str, str] = {}
        self._meanings: dict[str, Any] = {}

    def function(self, name: str, function: Callable[..., Any]) -> None:
        """Quote a function under a name, after everything that it calls."""
        if name in self.functions:
            return
        if not isinstance(function, FunctionType):
            raise UsageError(f"{name} cannot be exported: it is not a Python function")
        if function.__code__ in Op.completed.__code__.co_consts:
            self._completed(name, function)
            return
        try:
            tree: Any = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
        except OSError as error:
            raise UsageError(f"{name} cannot be exported: its source is not known ({error})") from error
        except SyntaxError:  # the lines of a lambda in the middle of a statement
            tree = None
        if not isinstance(tree, ast.FunctionDef) or function.__closure__:
            raise UsageError(
                f"{name} cannot be exported: it is a lambda, or reads variables of a function around it; give the "
                "operation a function of its own as its forward"
            )
        self.functions[name] = ""  # it may call itself
        tree.name, tree.decorator_list = name, []
        without_annotations(tree)
        code = compile(ast.Module([tree], []), name, "exec")
        for called in sorted(_names(code) & function.__globals__.keys()):
            self._needed(name, called, function.__globals__)
        del self.functions[name]
        self.functions[name] = _text(tree)

    def _completed(self, name: str, forward: Callable[..., Any]) -> None:
        """Quote a forward that takes a shared expression, the expression, and the function that puts them together."""
        self.function(f"{name}_with_shared", inspect.unwrap(forward))
        self.function(f"{name}_shared", inspect.getclosurevars(forward).nonlocals["self"].shared)
        call = f"{name}_with_shared(*x, {name}_shared(*x, **params), **params)"
        self.functions[name] = f"def {name}(*x, **params):\n    return {call}"

    def _needed(self, user: str, name: str, scope: dict[str, Any]) -> None:
        value = scope[name]
        value = value.forward if isinstance(value, Op) else value
        value = getattr(value, "__wrapped__", value) if hasattr(value, "cache_clear") else value  # a cache saves time
        if self._meanings.setdefault(name, value) is not value:
            raise UsageError(f"{user} cannot be exported: {name} has another meaning in a function that it calls")
        if isinstance(value, ModuleType) and not value.__name__.startswith(__name__.partition(".")[0]):
            self.imports.add(f"import {value.__name__} as {name}" if value.__name__ != name else f"import {name}")
        elif callable(value) and path_of(value) in (f"np.{value.__name__}", f"math.{value.__name__}"):
            home = path_of(value).partition(".")[0].replace("np", "numpy")
            self.imports.add(f"from {home} import {value.__name__}" + f" as {name}" * (value.__name__ != name))
        elif isinstance(getattr(value, "__self__", None), np.ufunc):
            self.imports.add("import numpy as np")
            self.values[name] = path_of(value)
        elif isinstance(value, FunctionType) and value.__module__ in sys.stdlib_module_names:
            self.imports.add(f"from {value.__module__} import {value.__name__}")
        elif isinstance(value, FunctionType):
            self.function(name, value)
        elif isinstance(value, (int, float, str, tuple)):
            self.values[name] = repr(value)
        elif isinstance(value, type) and issubclass(value, TinygradError):  # each is one of Python's errors, too
            self.values[name] = next(kind.__name__ for kind in value.__mro__ if kind.__module__ == "builtins")
        elif isinstance(value, (type, frozenset)):
            self._statement(user, name, scope)
        else:
            raise UsageError(f"{user} cannot be exported: it reads {name}, which is not a function, module or number")

    def _statement(self, user: str, name: str, scope: dict[str, Any]) -> None:
        """Quote the class or the constant of a name from its module, after everything that it reads."""
        tree = ast.parse(inspect.getsource(sys.modules[scope["__name__"]]))
        names = {x.name: x for x in tree.body if isinstance(x, ast.ClassDef)}
        assigned = (x for x in tree.body if name in map(ast.unparse, getattr(x, "targets", ())))
        made: Any = names.get(name) or next(assigned, None)
        if made is None:
            raise UsageError(f"{user} cannot be exported: it reads {name}, which another module defines")
        if isinstance(made, ast.ClassDef):
            made.bases = [getattr(base, "value", base) for base in made.bases]  # tuple[Any, ...] is a tuple
        for read in sorted({x.id for x in ast.walk(made) if isinstance(x, ast.Name)} & scope.keys() - {name}):
            self._needed(name, read, scope)
        self.functions[name] = _text(made)
