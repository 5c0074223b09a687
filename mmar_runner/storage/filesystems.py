# SPDX-License-Identifier: Apache-2.0
"""Which file system a folder lies on: a journal needs one whose locks and maps hold."""

from __future__ import annotations

from pathlib import Path

from mmar_runner.errors import JournalError

#: File systems on which SQLite's locks or shared memory are not dependable.
NETWORK_FILE_SYSTEMS = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "fuse.ceph",
        "fuse.davfs2",
        "fuse.gcsfuse",
        "fuse.glusterfs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.smbnetfs",
        "fuse.sshfs",
        "gfs",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "smb",
        "smb2",
        "smb3",
        "smbfs",
    }
)

_MOUNTS = Path("/proc/self/mounts")
_FIELDS = 3


def file_system(folder: Path, mounts: str | None = None) -> str | None:
    """Return the type of the file system that holds a folder, such as ``ext4``.

    Args:
        folder: The folder.
        mounts: The system's table of mounts; None to read it.

    Returns:
        None where the system does not tell.
    """
    if mounts is None:
        try:
            mounts = _MOUNTS.read_text()
        except OSError:
            return None
    target = folder.resolve()
    best: tuple[int, str | None] = (-1, None)
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < _FIELDS:
            continue
        point = Path(_unescaped(fields[1]))
        depth = len(point.parts)
        # A later mount on the same point hides the earlier one.
        if depth >= best[0] and target.is_relative_to(point):
            best = (depth, fields[2])
    return best[1]


def require_local(folder: Path, mounts: str | None = None) -> None:
    """Refuse a folder on a network file system.

    Raises:
        JournalError: Names the folder and the file system.
    """
    kind = file_system(folder, mounts)
    if kind in NETWORK_FILE_SYSTEMS:
        raise JournalError(
            f"{folder} lies on a network file system ({kind}), where a journal is not safe",
            hint="choose a folder on a local disk with --workspace",
        )


def _unescaped(field: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, char)
    return field
