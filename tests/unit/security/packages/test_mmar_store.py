# SPDX-License-Identifier: Apache-2.0
"""The store: read-only copies under their digests, whole or not there, whoever interferes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from mmar_runner.errors import StorageError
from mmar_runner.security.packages.mmar_store import MmarStore

FILES = {"config/a.json": b"{}", "models/w.bin": bytes(range(256)) * 4096, ".hidden": b"h"}
DIGEST = "d" * 64


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / name).write_bytes(content)
    return tmp_path / "source"


def staged(store: MmarStore, source: Path) -> Path:
    return store.stage("job", {name: partial((source / name).open, "rb") for name in FILES})


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def left_overs(store: Path) -> list[str]:
    return [path.name for path in store.iterdir() if path.name.startswith(".staging")]


def test_a_copy_lies_read_only_under_its_digest(tmp_path: Path, source: Path) -> None:
    store = MmarStore(tmp_path / "store")
    root = store.keep(staged(store, source), DIGEST)
    assert root == tmp_path / "store" / DIGEST / "job"
    assert contents(root) == FILES
    for path in (root, *root.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o555 if path.is_dir() else 0o444)
    assert left_overs(tmp_path / "store") == []


def test_what_changes_after_the_copy_does_not_change_it(tmp_path: Path, source: Path) -> None:
    store = MmarStore(tmp_path / "store")
    copy = staged(store, source)
    (source / "config" / "a.json").write_bytes(b"evil")
    assert contents(store.keep(copy, DIGEST)) == FILES


def test_the_same_copy_is_kept_where_it_is(tmp_path: Path, source: Path) -> None:
    store = MmarStore(tmp_path / "store")
    first = store.keep(staged(store, source), DIGEST).stat().st_ino
    assert store.keep(staged(store, source), DIGEST).stat().st_ino == first
    assert left_overs(tmp_path / "store") == []


def alter(root: Path) -> None:
    (root / "config" / "a.json").chmod(0o644)
    (root / "config" / "a.json").write_bytes(b"!!")


def add(root: Path) -> None:
    root.chmod(0o755)
    (root / "added.py").write_bytes(b"")


def take(root: Path) -> None:
    root.chmod(0o755)
    (root / ".hidden").unlink()


def link(root: Path) -> None:
    take(root)
    (root / ".hidden").symlink_to("/etc/passwd")


def replace_by_link(root: Path) -> None:
    root.chmod(0o755)
    root.rename(root.with_name("elsewhere"))
    root.symlink_to("elsewhere")


def tear(root: Path) -> None:
    (root / "models" / "w.bin").chmod(0o644)
    os.truncate(root / "models" / "w.bin", 7)


@pytest.mark.parametrize("spoil", [alter, add, take, link, replace_by_link, tear])
def test_an_entry_that_was_torn_or_altered_is_replaced_before_use(
    spoil: object, tmp_path: Path, source: Path
) -> None:
    store = MmarStore(tmp_path / "store")
    assert callable(spoil)
    spoil(store.keep(staged(store, source), DIGEST))
    root = store.keep(staged(store, source), DIGEST)
    assert not root.is_symlink()
    assert contents(root) == FILES


def test_a_copy_that_fails_leaves_nothing(tmp_path: Path, source: Path) -> None:
    store = MmarStore(tmp_path / "store")
    (source / ".hidden").unlink()
    with pytest.raises(StorageError, match="No such file"):
        staged(store, source)
    assert left_overs(tmp_path / "store") == []


def test_a_removed_copy_is_gone(tmp_path: Path, source: Path) -> None:
    store = MmarStore(tmp_path / "store")
    store.remove(store.keep(staged(store, source), DIGEST))
    assert not (tmp_path / "store" / DIGEST).exists()
    assert left_overs(tmp_path / "store") == []


def test_a_root_that_a_crash_left_writable_is_closed_when_it_is_kept_again(
    tmp_path: Path, source: Path
) -> None:
    store = MmarStore(tmp_path / "store")
    store.keep(staged(store, source), DIGEST).chmod(0o755)
    root = store.keep(staged(store, source), DIGEST)
    assert root.stat().st_mode & 0o777 == 0o555


def test_a_store_that_cannot_be_locked_is_a_fault_of_storage(tmp_path: Path, source: Path) -> None:
    store = MmarStore(tmp_path / "store")
    copy = staged(store, source)
    (tmp_path / "store" / ".lock").unlink()
    (tmp_path / "store" / ".lock").mkdir()
    for use in (store.sweep, lambda: store.keep(copy, DIGEST), lambda: store.prune(())):
        with pytest.raises(StorageError, match="directory"):
            use()


OTHER = "e" * 64


def kept_by_another(store: Path, source: Path, digest: str) -> Path:
    """Return a copy that somebody kept who lives no more."""
    with process(source, store, digest) as other:
        assert other.communicate("\n\n")[0] == "staged\nkept\n"
    return store / digest / "job"


def test_copies_that_nobody_needs_and_nobody_holds_are_pruned(tmp_path: Path, source: Path) -> None:
    old = kept_by_another(tmp_path / "store", source, DIGEST)
    needed = kept_by_another(tmp_path / "store", source, OTHER)
    store = MmarStore(tmp_path / "store")
    mine = store.keep(staged(store, source), "f" * 64)
    store.prune({OTHER})
    assert not old.parent.exists()
    assert contents(needed) == contents(mine) == FILES
    assert left_overs(tmp_path / "store") == []
    store.prune(())
    assert not needed.parent.exists()
    assert contents(mine) == FILES  # for as long as this process lives
    assert MmarStore(tmp_path / "nowhere").prune(()) is None


def test_what_another_process_runs_from_is_neither_pruned_nor_removed(
    tmp_path: Path, source: Path
) -> None:
    store = MmarStore(tmp_path / "store")
    with process(source, tmp_path / "store") as other:
        assert other.stdout is not None
        assert other.stdin is not None
        other.stdin.write("\n")
        other.stdin.flush()
        assert [other.stdout.readline() for _ in range(2)] == ["staged\n", "kept\n"]
        root = store.keep(staged(store, source), DIGEST)
        store.remove(root)
        store.prune(())
        assert contents(root) == FILES
        other.send_signal(signal.SIGKILL)
    store.prune(())
    assert not root.parent.exists()
    assert left_overs(tmp_path / "store") == []


def test_a_pruned_copy_can_be_kept_again(tmp_path: Path, source: Path) -> None:
    kept_by_another(tmp_path / "store", source, DIGEST)
    store = MmarStore(tmp_path / "store")
    store.prune(())
    assert contents(store.keep(staged(store, source), DIGEST)) == FILES
    store.prune(())
    assert contents(tmp_path / "store" / DIGEST / "job") == FILES


COPY = """
import sys
from functools import partial
from pathlib import Path
from mmar_runner.security.packages.mmar_store import MmarStore
source, store = Path(sys.argv[1]), MmarStore(Path(sys.argv[2]))
names = [p.relative_to(source).as_posix() for p in source.rglob("*") if p.is_file()]
copy = store.stage("job", {name: partial((source / name).open, "rb") for name in names})
print("staged", flush=True)
sys.stdin.readline()
store.keep(copy, sys.argv[3])
print("kept", flush=True)
sys.stdin.readline()
"""


def process(source: Path, store: Path, digest: str = DIGEST) -> subprocess.Popen[str]:
    """Start somebody who keeps a copy at the first line, and ends at the second."""
    command = [sys.executable, "-c", COPY, str(source), str(store), digest]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)


def test_a_process_that_is_killed_in_the_middle_leaves_nothing_that_is_used(
    tmp_path: Path, source: Path
) -> None:
    store = MmarStore(tmp_path / "store")
    with process(source, tmp_path / "store") as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == "staged\n"
        store.sweep()
        assert len(left_overs(tmp_path / "store")) == 1  # it lives, so it is left alone
        victim.send_signal(signal.SIGKILL)
    assert not (tmp_path / "store" / DIGEST).exists()
    store.sweep()
    assert left_overs(tmp_path / "store") == []
    assert contents(store.keep(staged(store, source), DIGEST)) == FILES


def test_two_processes_may_keep_the_same_digest_at_once(tmp_path: Path, source: Path) -> None:
    with process(source, tmp_path / "store") as one, process(source, tmp_path / "store") as two:
        for each in (one, two):
            assert each.stdout is not None
            assert each.stdout.readline() == "staged\n"
        for each in (one, two):
            assert each.stdin is not None
            each.stdin.write("\n\n")
            each.stdin.flush()
        assert (one.wait(), two.wait()) == (0, 0)
    assert contents(tmp_path / "store" / DIGEST / "job") == FILES
    assert left_overs(tmp_path / "store") == []
