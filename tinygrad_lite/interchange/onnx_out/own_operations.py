"""The operations that this package declares, by name, whatever a user declares under the same names."""

import sys
from typing import Any

from tinygrad_lite.engine.op import Op
from tinygrad_lite.engine.registry import operations


def own_operations() -> dict[str, Op]:
    """The operations of the modules that are imported."""
    modules = [module for name, module in sys.modules.items() if name.startswith("tinygrad_lite.")]
    held = [x for module in modules for x in vars(module).values() if type(x) is Op]
    return {op.name: op for op in (*operations(), *held) if op.module.startswith("tinygrad_lite.")}


def by_forward(own: dict[str, Op], *tables: dict[Any, Any]) -> dict[Any, Any]:
    """The tables by forwards; their keys are NumPy's functions, and names of operations that NumPy lacks."""
    return {
        own[key].forward if isinstance(key, str) else key: value
        for table in tables
        for key, value in table.items()
        if not isinstance(key, str) or key in own
    }
