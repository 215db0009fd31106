"""What a person types who ports a model: each name of PyTorch's is here, or an error says what to write."""

import importlib
from types import ModuleType
from typing import Any

import pytest

from tinygrad_lite import nn

torch = pytest.importorskip("torch", reason="PyTorch comes with the extra `compare`")
pytestmark = pytest.mark.compare

MODULES = {
    "torch.nn": "tinygrad_lite.nn",
    "torch.nn.functional": "tinygrad_lite.nn.functional",
    "torch.nn.init": "tinygrad_lite.nn.init",
    "torch.nn.utils": "tinygrad_lite.nn.utils",
    "torch.nn.utils.rnn": "tinygrad_lite.nn.utils.rnn",
    "torch.nn.utils.parametrizations": "tinygrad_lite.nn.utils.parametrizations",
    "torch.nn.utils.parametrize": "tinygrad_lite.nn.utils.parametrize",
    "torch.optim": "tinygrad_lite.optim",
    "torch.optim.lr_scheduler": "tinygrad_lite.optim.lr_scheduler",
    "torch.distributions": "tinygrad_lite.distributions",
    "torch.distributions.constraints": "tinygrad_lite.distributions.constraints",
}
INTERNAL = {  # of PyTorch's own machinery, or of hardware that NumPy does not run on
    *("factory_kwargs", "boolean_dispatch", "assert_int_or_pair", "conv_tbc", "native_channel_shuffle", "bind"),
    *("grouped_mm", "scaled_mm", "scaled_grouped_mm", "ScalingType", "SwizzleType", "PackedSequence_", "Tensor"),
    *("convert_conv2d_weight_memory_format", "convert_conv3d_weight_memory_format", "copy_method_params"),
    *("invert_permutation", "swap_in_optimizer_params_and_state", "OpaqueBase", "is_opaque_reference_type"),
    *("get_swap_module_params_on_conversion", "is_traceable_wrapper_subclass", "Optimizer"),
}


def is_here_or_advised(owner: Any, name: str) -> bool:
    try:
        return getattr(owner, name) is not owner
    except AttributeError as error:
        return ": write " in str(error)


@pytest.mark.parametrize("module", MODULES)
def test_each_name_of_pytorchs_is_here_or_says_what_to_write(module: str) -> None:
    theirs, ours = importlib.import_module(module), importlib.import_module(MODULES[module])
    names = [
        name
        for name, value in vars(theirs).items()
        if callable(value)
        and not isinstance(value, ModuleType)
        and not name.startswith("_")
        and not name.startswith(("has_torch_function", "handle_torch_function"))
        and str(getattr(value, "__module__", "torch")).startswith("torch")
    ]
    assert len(names) > 2
    assert not [name for name in names if name not in INTERNAL and not is_here_or_advised(ours, name)]


def test_each_method_of_a_layer_is_here_or_says_what_to_write() -> None:
    """With the properties of one; what is left has no place in a program of a user's."""
    for make in (lambda nn: nn.Linear(2, 2), lambda nn: nn.Sequential(), lambda nn: nn.ModuleList()):
        theirs, ours = make(torch.nn), make(nn)
        names = {name for name in dir(theirs) if not name.startswith("_")}
        names -= {"T_destination", "call_super_init", "dump_patches", "ipu", "mtia"}
        assert not [name for name in names if not is_here_or_advised(ours, name)]
