# SPDX-License-Identifier: Apache-2.0
"""A site's policy while an MMAR runs: what the site blocks meanwhile."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeAlias

from mmar_runner.errors import NotAuthorizedError, UsageError
from mmar_runner.security.policy.site_policy import load_policy

if TYPE_CHECKING:
    from pathlib import Path

_Stamp: TypeAlias = tuple[int, int, int, int]

_log = logging.getLogger(__name__)


class FollowedPolicy:
    """A policy file that is looked at again when it changes; it need not be there.

    Only what it blocks counts: everything else is judged before an MMAR runs. A file that
    cannot be read, or is wrong, changes nothing and is told once.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: _Stamp | None = None
        self._blocked: tuple[str, ...] = ()
        self._warned = ""

    def require_unblocked(self, digest: str) -> None:
        """Look at the file again if it changed, and refuse an MMAR that it blocks. Blocks.

        Raises:
            NotAuthorizedError: DIGEST_BLOCKED.
        """
        self._refresh()
        if digest in self._blocked:
            msg = f"the site blocks the MMAR with the digest {digest}"
            hint = f"it stands in blocked_digests of {self._path}"
            raise NotAuthorizedError(msg, reason="DIGEST_BLOCKED", hint=hint)

    def _refresh(self) -> None:
        try:
            found = self._path.stat()
            stamp = found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
            if stamp == self._stamp:
                return
            self._blocked = load_policy(self._path).blocked_digests
        except FileNotFoundError as error:
            if self._stamp is not None:  # it was there: somebody took it away
                self._warn(str(error))
        except (OSError, UsageError) as error:
            self._warn(str(error))
        else:
            self._stamp, self._warned = stamp, ""

    def _warn(self, message: str) -> None:
        """Say once why what was blocked before stays in force."""
        if message != self._warned:
            self._warned = message
            _log.warning("the site's policy stays as it was: %s", message)
