# SPDX-License-Identifier: Apache-2.0
"""The policies beside a kit as they are on the disk now, for whoever stands for long."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mmar_runner.errors import KitError, StorageError, UsageError
from mmar_runner.security.kits.files import SIGNATURE_FILE, signed_files
from mmar_runner.security.policy.authorization_file import load_authorization
from mmar_runner.security.policy.site_policy import SitePolicy, load_policy
from mmar_runner.storage.atomic import translated
from mmar_runner.storage.followed import FollowedFiles

if TYPE_CHECKING:
    from mmar_runner.security.kits.kit import StartupKit
    from mmar_runner.security.policy.authorization_file import Authorization

_PASSING = (StorageError, UsageError, KitError)


class FollowedRules:
    """The project's authorization and the owner's own policy. Blocks; one thread at a time.

    A file that was changed counts from the next look on; one that is wrong, or is not what the
    authority signed, changes nothing, and that is told once.

    Args:
        kit: Whose they are.

    Raises:
        UsageError: POLICY_INVALID, a policy cannot be read, or is wrong.
        StorageError: A file cannot be read.
    """

    def __init__(self, kit: StartupKit) -> None:
        self._kit = kit
        self._authorization = load_authorization(kit.authorization)
        self._authorization_file = FollowedFiles(
            kit.authorization,
            kit.folder / SIGNATURE_FILE,
            what="the project's authorization",
            passing=_PASSING,
        )
        self._policy = SitePolicy()
        self._policy_file: FollowedFiles | None = None
        if kit.policy is not None:
            self._policy_file = FollowedFiles(
                kit.policy, what="the site's policy", optional=True, passing=_PASSING
            )
            if kit.policy.exists():
                self._policy = load_policy(kit.policy)

    def authorization(self) -> Authorization:
        """Return the project's policy in force."""
        found = self._authorization_file.changed(self._signed)
        self._authorization = self._authorization if found is None else found
        return self._authorization

    def policy(self) -> SitePolicy:
        """Return the owner's own policy in force."""
        if self._policy_file is not None and self._kit.policy is not None:
            found = self._policy_file.changed(partial(load_policy, self._kit.policy))
            self._policy = self._policy if found is None else found
        return self._policy

    def _signed(self) -> Authorization:
        with translated(self._kit.root_file):
            root = self._kit.root_file.read_bytes()
        signed_files(self._kit.folder, root, self._kit.identity)
        return load_authorization(self._kit.authorization)
