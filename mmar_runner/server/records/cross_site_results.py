# SPDX-License-Identifier: Apache-2.0
"""The cross-site matrix on the disk: every model's metrics on every site's data.

``run_N/cross_site_validation/results.json`` (schema ``cross_site_results``): the client whose
data it is, then the owner of the model, then metrics by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from mmar_runner.documents.strict_json import parse_checked
from mmar_runner.errors import StorageError
from mmar_runner.storage.atomic import make_folder, translated, write_json_atomic
from mmar_runner.storage.bounded import read_bounded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmar_runner.server.records.workspace import RunFolder

#: Data client, model owner, metric, value.
Matrix: TypeAlias = dict[str, dict[str, dict[str, float]]]
_LIMIT: Final = 64 << 20


class CrossSiteResults:
    """The matrix of one run. Blocks.

    Args:
        folder: Of the run.

    Attributes:
        file: Where it lies.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.file = folder.path / "cross_site_validation" / "results.json"

    def load(self) -> Matrix:
        """Return what is known; empty if nothing is.

        Raises:
            StorageError: It cannot be read, or is damaged.
        """
        with translated(self.file):
            if not self.file.exists():
                return {}
            data = read_bounded(self.file, _LIMIT)
        try:
            matrix: Matrix = parse_checked(data, "cross_site_results", limit=_LIMIT)
        except ValueError as error:
            hint = "move it away: it is made anew by the next validation"
            raise StorageError(f"{self.file} {error}", hint=hint) from error
        return matrix

    def update(self, data_client: str, metrics: Mapping[str, Mapping[str, float]]) -> Matrix:
        """Take in what one client found on its data, for the owners of models that it names.

        Returns:
            The whole matrix.

        Raises:
            StorageError: It cannot be read or written.
        """
        matrix = self.load()
        row = matrix.setdefault(data_client, {})
        row.update({owner: dict(found) for owner, found in metrics.items()})
        self.write(matrix)
        return matrix

    def write(self, matrix: Matrix) -> None:
        """Write the whole matrix, in place of what is known.

        Raises:
            StorageError: It cannot be written.
        """
        with translated(self.file):
            make_folder(self.file.parent, durable=False)
        write_json_atomic(self.file, matrix)
