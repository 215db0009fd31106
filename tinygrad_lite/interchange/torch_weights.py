"""Weights from PyTorch and to PyTorch: the names are the same in both libraries, the arrays are converted."""

import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import InputError, MissingExtraError, UsageError
from tinygrad_lite.training import weight_files


def from_torch(source: Any) -> dict[str, Any]:
    """The arrays of a PyTorch module, of a state dict, or of a file, for `load_state_dict`.

    A file of safetensors needs no PyTorch. What `torch.save` wrote is a pickle, which could run any code; PyTorch, if
    it is installed, reads only weights from it. Arrays are copies; a dtype that NumPy lacks, such as bfloat16, becomes
    float32. The state of an optimiser is converted in the same way.

    Raises:
        FileNotFoundError, FileError, InputError: if the file is not there, damaged, or a pickle that cannot be read.
        UsageError: if it is anything else.
        MissingExtraError: if it is a file, and safetensors is not installed.

    Example:
        >>> import tempfile, tinygrad_lite as tg
        >>> path = tempfile.mkdtemp() + "/weights.safetensors"
        >>> tg.save(path, model=tg.nn.Linear(3, 2))  # or safetensors.torch.save_file(torch_model.state_dict(), path)
        >>> model = tg.nn.Linear(3, 2)
        >>> model.load_state_dict(tg.from_torch(path))
        LoadReport(missing_keys=[], unexpected_keys=[])
    """
    if isinstance(source, (str, os.PathLike)):
        source = _file(source)
    elif hasattr(source, "state_dict"):
        source = source.state_dict()
    if not isinstance(source, Mapping):
        raise UsageError(f"from_torch takes a module, a state dict or the path of a file, got {type(source).__name__}")
    return {name: trees.map_leaves(_array, value) for name, value in source.items()}


def to_torch(source: Any) -> dict[str, Any]:
    """The state of a module, or a state dict, with tensors of PyTorch's in place of arrays; they are copies.

    To write a file that PyTorch reads, `tg.save(path, model=model)` needs no PyTorch.

    Raises:
        UsageError: if it is anything else, or PyTorch lacks the dtype of an array.
        MissingExtraError: if PyTorch is not installed.

    Example:
        >>> import tinygrad_lite as tg
        >>> from importlib.util import find_spec
        >>> if find_spec("torch"):
        ...     assert tg.to_torch(tg.nn.Linear(3, 2))["weight"].shape == (2, 3)
    """
    try:
        import torch
    except ImportError:
        raise MissingExtraError("to_torch", "torch", "compare") from None

    def tensor(x: Any) -> Any:
        if not isinstance(x, (Tensor, np.ndarray, np.generic)):
            return x
        try:
            return torch.from_numpy(np.array(x.data if isinstance(x, Tensor) else x))
        except TypeError as error:
            raise UsageError(f"PyTorch cannot take an array of {x.dtype}: {error}") from error

    state = source.state_dict() if hasattr(source, "state_dict") else source
    if not isinstance(state, Mapping):
        raise UsageError(f"to_torch takes a module or a state dict, got {type(source).__name__}")
    return {name: trees.map_leaves(tensor, value) for name, value in state.items()}


def _file(path: str | os.PathLike[str]) -> Any:
    """What a file of safetensors or of torch.save contains."""
    if os.path.isfile(path):
        with open(path, "rb") as file:
            is_pickle = weight_files.is_pickle(file.read(9))
        if os.fspath(path).endswith((".npz", ".npy")):
            raise InputError(f"{os.fspath(path)} is a file of NumPy's: model.load_state_dict(np.load(path)) takes it")
        if is_pickle:
            return _unpickled(os.fspath(path))
    return weight_files.read(path)[0]


def _unpickled(path: str) -> Any:
    advice = weight_files.PICKLE_ADVICE
    if find_spec("torch") is None:
        raise InputError(f"{path} is a pickle of torch.save, which only PyTorch can read without risk: {advice}")
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # there are many, of pickle, zipfile and PyTorch
        raise InputError(f"{path} cannot be read as weights: {advice} ({error})") from error


def _array(x: Any) -> Any:
    """A copy of a tensor of PyTorch's as an array, of a quantised one's real numbers; anything else as it is."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(x, torch.Tensor):
        return x
    if x.is_meta:
        raise UsageError("from_torch: a tensor on PyTorch's device meta has no numbers: load its weights first")
    x = x.detach().cpu()
    x = (x.dequantize() if x.is_quantized else x).to_dense().resolve_conj().resolve_neg()
    try:
        return np.array(x.numpy())
    except TypeError:  # NumPy lacks the dtype
        return (x.to(torch.complex64) if x.is_complex() else x.float()).numpy()
