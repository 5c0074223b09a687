# SPDX-License-Identifier: Apache-2.0
"""The project's policy of a start-up kit, as it is on the disk now and the authority signed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmar_runner.errors import KitError, StorageError, UsageError
from mmar_runner.security.kits.files import SIGNATURE_FILE, signed_files
from mmar_runner.security.policy.authorization_file import load_authorization
from mmar_runner.storage.atomic import translated
from mmar_runner.storage.followed import FollowedFiles

if TYPE_CHECKING:
    from mmar_runner.security.kits.kit import StartupKit
    from mmar_runner.security.policy.authorization_file import Authorization


class FollowedAuthorization:
    """Who may do what, read again when the kit's files change. Blocks.

    What is wrong, or is not what the authority signed, changes nothing and is told.

    Args:
        kit: Whose kit it is.

    Raises:
        UsageError: POLICY_INVALID, it is wrong from the start.
    """

    def __init__(self, kit: StartupKit) -> None:
        self._kit = kit
        self._files = FollowedFiles(
            kit.authorization,
            kit.folder / SIGNATURE_FILE,
            what="the project's authorization",
            passing=(StorageError, UsageError, KitError),
        )
        self._current = load_authorization(kit.authorization)

    @property
    def current(self) -> Authorization:
        """The policy in force."""
        self._current = self._files.changed(self._signed) or self._current
        return self._current

    def _signed(self) -> Authorization:
        with translated(self._kit.root_file):
            root = self._kit.root_file.read_bytes()
        signed_files(self._kit.folder, root, self._kit.identity)
        return load_authorization(self._kit.authorization)
