# SPDX-License-Identifier: Apache-2.0
"""Whether the bytes of an update are what the run may take, seen as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.storage.finite import FiniteScanner
from mmar_runner.storage.safetensors_format import LENGTH_BYTES, header_size, parse_header

if TYPE_CHECKING:
    from mmar_runner.storage.header import Header
    from mmar_runner.storage.model_schema import ModelSchema


class UpdateCheck:
    """Looks at a file's bytes in order, in any portions.

    It keeps only the header's bytes, and refuses at the first byte that shows a fault.

    Args:
        schema: The tensors that the file must hold.
        total_bytes: The size of the whole file.

    Attributes:
        header: The checked header, once all of it has come.
    """

    def __init__(self, schema: ModelSchema, total_bytes: int) -> None:
        self._schema = schema
        self._total_bytes = total_bytes
        self._raw = bytearray()
        self._needed = LENGTH_BYTES
        self._scanner: FiniteScanner | None = None
        self.header: Header | None = None

    def feed(self, data: bytes | memoryview) -> None:
        """See the next bytes.

        Raises:
            FormatError: The file is not of the accepted profile.
            SchemaMismatchError: Its tensors are not the model's.
            NonFiniteError: A tensor holds NaN or an infinity.
        """
        view = memoryview(data)
        while view and self._scanner is None:
            missing = self._needed - len(self._raw)
            self._raw += view[:missing]
            view = view[missing:]
            if len(self._raw) == self._needed:
                self._advance()
        if view and self._scanner is not None:
            self._scanner.feed(view)

    def _advance(self) -> None:
        raw = bytes(self._raw)
        limit = self._schema.header_limit
        if len(raw) == LENGTH_BYTES:
            self._needed = header_size(raw, limit=limit)
            return
        self.header = parse_header(raw, file_size=self._total_bytes, limit=limit)
        self._schema.check(self.header)
        self._scanner = FiniteScanner(self.header)
        self._raw.clear()


def check_update(data: bytes, schema: ModelSchema) -> None:
    """Check a whole small file that came in one piece; see `UpdateCheck.feed`.

    Raises:
        FormatError: The file is not of the accepted profile, or it is cut short.
        SchemaMismatchError: Its tensors are not the model's.
        NonFiniteError: A tensor holds NaN or an infinity.
    """
    check = UpdateCheck(schema, len(data))
    check.feed(data)
    if check.header is None:
        parse_header(data, file_size=len(data), limit=schema.header_limit)
