# SPDX-License-Identifier: Apache-2.0
"""Models on disk: safetensors to tensors and back, one tensor at a time."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from mmar_runner.errors import FormatError
from mmar_runner.storage.safetensors_format import numpy_dtype
from mmar_runner.storage.tensor_files import TensorReader, TensorWriter

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

#: Tensors by name, as in ``torch.nn.Module.state_dict``.
State = dict[str, torch.Tensor]

_DTYPES: Final = MappingProxyType(
    {
        "F64": torch.float64,
        "F32": torch.float32,
        "F16": torch.float16,
        "BF16": torch.bfloat16,
        "F8_E4M3": torch.float8_e4m3fn,
        "F8_E5M2": torch.float8_e5m2,
        "I64": torch.int64,
        "I32": torch.int32,
        "I16": torch.int16,
        "I8": torch.int8,
        "U8": torch.uint8,
        "BOOL": torch.bool,
    }
)
_NAMES: Final = MappingProxyType({dtype: name for name, dtype in _DTYPES.items()})


def read_state(path: Path) -> State:
    """Return the tensors of a safetensors file, on the CPU.

    Raises:
        FormatError: The file is not of the accepted profile.
        StorageError: The file cannot be read.
    """
    state = {}
    with TensorReader(path) as reader:
        for name, info in reader.header.tensors.items():
            raw = torch.from_numpy(reader.read(name).reshape(-1).view(np.uint8))
            state[name] = raw.view(_DTYPES[info.dtype]).reshape(info.shape)
    return state


def write_state(path: Path, state: Mapping[str, torch.Tensor]) -> None:
    """Write tensors as safetensors; the same tensors give the same bytes.

    A file that is there is written over.

    Raises:
        FormatError: A name or an element type cannot be stored.
        StorageError: The file cannot be written.
    """
    tensors = [(name, dtype_name(name, t), tuple(t.shape)) for name, t in state.items()]
    recycle = path if path.exists() else None
    with TensorWriter(path, tensors, recycle=recycle) as writer:
        for name, dtype, _ in tensors:
            writer.write(name, _as_numpy(state[name], dtype))
        writer.commit()


def dtype_name(name: str, tensor: torch.Tensor) -> str:
    """Return how safetensors call a tensor's element type.

    Raises:
        FormatError: They have none like it.
    """
    if tensor.dtype not in _NAMES:
        raise FormatError(f"tensor {name!r} has type {tensor.dtype}, which cannot be stored")
    return _NAMES[tensor.dtype]


def _as_numpy(tensor: torch.Tensor, dtype: str) -> npt.NDArray[Any]:
    # numpy knows neither bf16 nor fp8, so the bytes change hands, not the numbers.
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().view(numpy_dtype(dtype))
