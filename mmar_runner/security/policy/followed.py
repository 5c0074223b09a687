# SPDX-License-Identifier: Apache-2.0
"""A site's policy while an MMAR runs: what the site blocks meanwhile."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mmar_runner.errors import NotAuthorizedError, StorageError, UsageError
from mmar_runner.security.policy.site_policy import load_policy
from mmar_runner.storage.followed import FollowedFiles

if TYPE_CHECKING:
    from pathlib import Path


class FollowedPolicy:
    """A policy file that is looked at again when it changes; it need not be there.

    Only what it blocks counts: everything else is judged before an MMAR runs. A file that
    cannot be read, or is wrong, changes nothing; that is told once, and once when it is mended.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = FollowedFiles(
            path,
            what="the site's policy",
            optional=True,
            # A file that could not be opened is no wrong policy, though it is told as one.
            passing=(StorageError, UsageError),
        )
        self._blocked: tuple[str, ...] = ()

    def require_unblocked(self, digest: str) -> None:
        """Look at the file again if it changed, and refuse an MMAR that it blocks. Blocks.

        Raises:
            NotAuthorizedError: DIGEST_BLOCKED.
        """
        policy = self._file.changed(partial(load_policy, self._path))
        if policy is not None:
            self._blocked = policy.blocked_digests
        if digest in self._blocked:
            msg = f"the site blocks the MMAR with the digest {digest}"
            hint = f"it stands in blocked_digests of {self._path}"
            raise NotAuthorizedError(msg, reason="DIGEST_BLOCKED", hint=hint)
