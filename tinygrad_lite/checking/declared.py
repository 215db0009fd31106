"""What a module declares for a check of a function, by its name: FUNCTION_inputs, and FUNCTION_gradient.

The command line and the plugin for pytest read it.
"""

import ast
from typing import Any

from tinygrad_lite.errors import InputError


def attribute(module: Any, name: str) -> Any:
    """What a module calls by this name, which may have dots.

    Raises:
        InputError: if there is nothing of this name.
    """
    owner = module
    for part in name.split("."):
        if not hasattr(owner, part):
            known = ", ".join(sorted(key for key in vars(module) if not key.startswith("_")))
            raise InputError(f"{module.__name__} has no {name!r}; it has {known}")
        owner = getattr(owner, part)
    return owner


def inputs_of(module: Any, function: str, name: str | None = None) -> tuple[Any, ...]:
    """The inputs for a function: a tuple that the module declares, or that a function of this name returns.

    Raises:
        InputError: if there are none.
    """
    name = name or next((name for name in (f"{function}_inputs", "inputs") if hasattr(module, name)), None)
    if name is None:
        raise InputError(
            f"no inputs: define {function}_inputs in {module.__name__}, or pass --inputs NAME or --shapes 3,2 4"
        )
    value = attribute(module, name)
    value = value() if callable(value) else value
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def gradient_of(module: Any, function: str, name: str | None = None) -> Any:
    """The gradient that the module declares for a function; None if it declares none."""
    return attribute(module, name) if name else getattr(module, f"{function}_gradient", None)


def functions_in(source: str) -> list[str]:
    """The functions for which a file declares inputs, by its text alone, since running a file may do anything."""
    declared: dict[str, ast.stmt] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            declared[node.name] = node
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            declared.update((alias.asname or alias.name, node) for alias in node.names)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            declared.update((target.id, node) for target in targets if isinstance(target, ast.Name))
    return [
        name for name in declared if f"{name}_inputs" in declared and _is_called_without(declared[f"{name}_inputs"])
    ]


def _is_called_without(node: ast.stmt) -> bool:
    """Whether a function needs no arguments: `validate_inputs(form)` is not a declaration."""
    if not isinstance(node, ast.FunctionDef):
        return True
    if any("fixture" in ast.unparse(decorator) for decorator in node.decorator_list):
        return False
    parameters = node.args
    positional = len(parameters.posonlyargs) + len(parameters.args) - len(parameters.defaults)
    return not positional and None not in parameters.kw_defaults
