# SPDX-License-Identifier: Apache-2.0
"""What was uploaded: an upload takes another's place as a whole, whenever the server dies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mmar_runner.admin.files.uploaded import Uploaded
from mmar_runner.errors import NotAuthorizedError, PackageError, StorageError

ORGS = {"ann@a.org": "a.org", "amy@a.org": "a.org", "bob@b.org": "b.org", "root@c.org": "c.org"}


class Everybody:
    """Who belongs where; one user sees everything."""

    def org_of(self, user: str) -> str:
        return ORGS[user]

    def sees_all(self, user: str) -> bool:
        return user == "root@c.org"


class Killed(BaseException):
    """The process ends here."""


def facts(name: str, version: int, owner: str = "ann@a.org") -> dict[str, Any]:
    return {
        "name": name,
        "digest": f"{version:064x}",
        "owner": owner,
        "org": ORGS[owner],
        "uploaded": "2026-01-01T00:00:00Z",
        "bytes": 10,
        "version": version,
        "sha256": f"{version:064x}",
    }


def staged(folder: Path, name: str, version: int) -> Path:
    mmar = folder / ".incoming" / f"staging-{version:016x}" / name
    mmar.mkdir(parents=True)
    (mmar / "version").write_text(str(version))
    return mmar


def publish(uploaded: Uploaded, folder: Path, version: int, name: str = "study") -> None:
    mmar = staged(folder, name, version)
    uploaded.prepare(mmar, facts(name, version))
    uploaded.publish(mmar)


def seen(folder: Path) -> tuple[str, int]:
    """Return which version lies there, and which is known."""
    uploaded = Uploaded(folder, Everybody())  # type: ignore[arg-type]
    uploaded.settle(folder / ".incoming")
    known = uploaded.of("study")
    assert known is not None
    return (folder / "study" / "version").read_text(), known["version"]


def test_an_upload_is_there_for_its_own_organisation(tmp_path: Path) -> None:
    uploaded = Uploaded(tmp_path, Everybody())  # type: ignore[arg-type]
    publish(uploaded, tmp_path, 1)
    assert [one["name"] for one in uploaded.visible("amy@a.org")] == ["study"]
    assert uploaded.require("study", "amy@a.org") == tmp_path / "study"
    assert uploaded.visible("bob@b.org") == []
    with pytest.raises(NotAuthorizedError) as others:
        uploaded.require("study", "bob@b.org")
    with pytest.raises(NotAuthorizedError) as nobodys:
        uploaded.require("nothing", "bob@b.org")
    assert others.value.reason == nobodys.value.reason == "UNKNOWN"
    assert others.value.message.replace("study", "nothing") == nobodys.value.message
    assert uploaded.require("study", "root@c.org")


def test_a_name_belongs_to_an_organisation(tmp_path: Path) -> None:
    uploaded = Uploaded(tmp_path, Everybody())  # type: ignore[arg-type]
    publish(uploaded, tmp_path, 1)
    uploaded.require_free("study", "amy@a.org")
    uploaded.require_free("other", "bob@b.org")
    with pytest.raises(NotAuthorizedError) as caught:
        uploaded.require_free("study", "bob@b.org")
    assert caught.value.reason == "MMAR_NAME_TAKEN"
    assert "a.org" not in caught.value.message


@pytest.mark.parametrize(
    "name", ["", "..", "a/b", ".hidden", "a b", "x.json", "ä", "x" * 129, "-x"]
)
def test_a_name_that_is_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(PackageError, match="cannot be called"):
        Uploaded(tmp_path, Everybody()).require_free(name, "ann@a.org")  # type: ignore[arg-type]


def test_a_newer_upload_replaces_an_older_one(tmp_path: Path) -> None:
    uploaded = Uploaded(tmp_path, Everybody())  # type: ignore[arg-type]
    publish(uploaded, tmp_path, 1)
    publish(uploaded, tmp_path, 2)
    assert seen(tmp_path) == ("2", 2)
    assert list((tmp_path / ".incoming").iterdir()) == []


@pytest.mark.parametrize("steps", range(5))
def test_whoever_dies_in_between_leaves_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    uploaded = Uploaded(tmp_path, Everybody())  # type: ignore[arg-type]
    publish(uploaded, tmp_path, 1)
    done = 0

    def counted(how: Any) -> Any:
        def move(path: Path, target: Path) -> Any:
            nonlocal done
            if done == steps:
                raise Killed
            done += 1
            return how(path, target)

        return move

    mmar = staged(tmp_path, "study", 2)
    uploaded.prepare(mmar, facts("study", 2))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", counted(Path.rename))
        patch.setattr(Path, "replace", counted(Path.replace))
        if steps < 4:
            with pytest.raises(Killed):
                uploaded.publish(mmar)
        else:
            uploaded.publish(mmar)  # the ready folder, the old one, the new one, what is known
    assert seen(tmp_path) == (("1", 1) if steps == 0 else ("2", 2))


def test_a_damaged_description_says_so(tmp_path: Path) -> None:
    uploaded = Uploaded(tmp_path, Everybody())  # type: ignore[arg-type]
    publish(uploaded, tmp_path, 1)
    (tmp_path / "study.json").write_text('{"name": 3}')
    with pytest.raises(StorageError, match=r"study\.json cannot be read"):
        uploaded.known()


@pytest.mark.parametrize("name", ["old", "about", "ready-0", "staging-0", "store"])
def test_a_name_that_the_server_uses_itself_is_one_like_any_other(
    tmp_path: Path, name: str
) -> None:
    uploaded = Uploaded(tmp_path, Everybody())  # type: ignore[arg-type]
    for version in (1, 2, 3):
        publish(uploaded, tmp_path, version, name)
    again = Uploaded(tmp_path, Everybody())  # type: ignore[arg-type]
    again.settle(tmp_path / ".incoming")
    assert (tmp_path / name / "version").read_text() == "3"
    known = again.of(name)
    assert known is not None
    assert known["version"] == 3
