# SPDX-License-Identifier: Apache-2.0
"""Where a journal may lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmar_runner.errors import JournalError
from mmar_runner.storage.filesystems import file_system, require_local

_MOUNTS = r"""/dev/vda / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sdb /home/local xfs rw 0 0
//box/share /mnt/my\040share cifs rw 0 0
me@host: /mnt/ssh fuse.sshfs rw 0 0
/dev/vdb /mnt/twice ext4 rw 0 0
server:/x /mnt/twice nfs rw 0 0
short
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/var/lib", "ext4"),
        ("/home/me", "nfs4"),
        ("/home/local/me", "xfs"),
        ("/homeless", "ext4"),
        ("/mnt/my share/run_1", "cifs"),
        ("/mnt/ssh", "fuse.sshfs"),
        ("/mnt/twice/run_1", "nfs"),
    ],
)
def test_the_deepest_and_latest_mount_counts(folder: str, kind: str) -> None:
    assert file_system(Path(folder), _MOUNTS) == kind


@pytest.mark.parametrize("folder", ["/home/me", "/mnt/my share", "/mnt/ssh", "/mnt/twice"])
def test_a_network_file_system_is_refused_by_name(folder: str) -> None:
    with pytest.raises(JournalError, match="network file system") as caught:
        require_local(Path(folder), _MOUNTS)
    assert caught.value.hint is not None
    assert "--workspace" in caught.value.hint


def test_local_ones_and_unknown_ones_are_accepted(tmp_path: Path) -> None:
    require_local(Path("/home/local"), _MOUNTS)
    require_local(Path("/home/me"), "")
    require_local(tmp_path)
