# SPDX-License-Identifier: Apache-2.0
"""What is known of a network without its numbers: its tensors' names, shapes and types.

A persistor and a trainer say it of the network that an MMAR declares, so that
``validate-mmar --deep`` can compare what would meet in the first round.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field


@dataclass(frozen=True, slots=True)
class TensorFacts:
    """One tensor.

    Attributes:
        dtype: Its element type as safetensors spells it, such as ``F32``.
        shape: Its dimensions; empty for a scalar.
    """

    dtype: str
    shape: tuple[int, ...] = ()

    def __str__(self) -> str:
        """Return it as people write it: ``F32[16, 30]``."""
        return f"{self.dtype}{list(self.shape)}"


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """What a declared network is.

    Attributes:
        tensors: Of a persistor, those of the initial model; of a trainer, all that its network
            has. By name, in the network's order.
        takes_any: Whether a trainer trains whatever model it is given; ``tensors`` is then empty.
        by_name: Whether a trainer takes a model that holds tensors which its network lacks: they
            go back as they came.
        kept: Names of tensors that the site neither takes from the global model nor sends.
        memory: What training takes of memory at most beside the libraries, in bytes, by what
            takes it (``weights``, ``gradients``, ...); empty if that is not known.
        note: What whoever reads this should know of it, such as what could not be counted; or
            empty.
    """

    tensors: Mapping[str, TensorFacts]
    _: KW_ONLY
    takes_any: bool = False
    by_name: bool = False
    kept: frozenset[str] = frozenset()
    memory: Mapping[str, int] = field(default_factory=dict)
    note: str = ""
