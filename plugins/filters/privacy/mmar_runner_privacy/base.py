# SPDX-License-Identifier: Apache-2.0
"""What the filters here have in common: the difference's floating numbers, block by block."""

from __future__ import annotations

import hashlib
import hmac
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from mmar_runner.errors import TaskFailedError
from mmar_runner.interfaces.filter import Filter

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from mmar_runner.interfaces.filter import FilterContext

#: Elements that are worked on at a time.
BLOCK: Final = 1 << 18
_SECRET_BYTES: Final = 32


class DifferenceFilter(Filter):
    """Changes the floating numbers of an update's difference to the received model.

    Whole numbers and booleans, such as a counter of batches, keep the received model's values:
    no mechanism here is made for them, and they tell of a site's data.
    """

    on_differences: ClassVar[bool] = True

    def apply(self, name: str, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return what becomes of a tensor; 0 for every whole number."""
        if not is_floating(tensor):
            return np.zeros_like(tensor)
        flat = tensor.reshape(-1)
        out = np.empty_like(flat)
        for start in range(0, flat.size, BLOCK):
            block = flat[start : start + BLOCK]
            out[start : start + BLOCK] = self.released(name, start, block)
        return out.reshape(tensor.shape)

    @abstractmethod
    def released(
        self, name: str, start: int, block: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Return what leaves of one block.

        Args:
            name: The tensor.
            start: The first element, counted in row-major order.
            block: Its elements; read-only.
        """


class NoisyFilter(DifferenceFilter):
    """Draws from a key that depends on the site's secret and on the update itself.

    A round that is done again, and does not come out the same to the bit, so draws other noise:
    the same noise on two updates would give away their difference.

    Args:
        parameters: All that the noise depends on: other ones draw other noise.
    """

    needs_measure: ClassVar[bool] = True

    def __init__(self, *parameters: float) -> None:
        self._parameters = repr(parameters).encode()

    def begin(self, context: FilterContext) -> None:
        """Take up the secret.

        Raises:
            TaskFailedError: There is none.
        """
        if len(context.secret) != _SECRET_BYTES:
            raise TaskFailedError(
                f"noise needs a secret of {_SECRET_BYTES} bytes, not {len(context.secret)}",
                hint="FilterContext.secret is what the site's runner gives",
            )
        self._secret = context.secret
        self._digest = hashlib.sha256()
        self._key: bytes | None = None

    def measure(self, name: str, tensor: npt.NDArray[Any]) -> None:
        """Let a tensor count in the key."""
        self._digest.update(f"{name}\n{tensor.dtype.str}{tensor.shape}\n".encode())
        self._digest.update(np.ascontiguousarray(tensor).reshape(-1).view(np.uint8).data)

    @property
    def key(self) -> bytes:
        """What noise is drawn from, once all tensors are measured: 32 bytes."""
        if self._key is None:
            told = self._digest.digest() + self._parameters
            self._key = hmac.digest(self._secret, told, "sha256")
        return self._key


def is_floating(tensor: npt.NDArray[Any]) -> bool:
    """Return True for a difference of floating numbers; that of whole numbers is int64."""
    return tensor.dtype == np.float64


def blocks(tensor: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """Yield a tensor's elements in row-major order, a block at a time."""
    flat = tensor.reshape(-1)
    for start in range(0, flat.size, BLOCK):
        yield flat[start : start + BLOCK]
