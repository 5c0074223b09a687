# SPDX-License-Identifier: Apache-2.0
"""What just fits into a package is taken, what just does not is refused."""

from __future__ import annotations

import stat
import zipfile

import pytest

from mmar_runner.errors import PackageError
from mmar_runner.security.packages.names import MAX_NAME_BYTES, MAX_PART_BYTES, name_problem
from mmar_runner.security.packages.packing import PackageLimits, pack, unpack

LONG = "is too long or too deep"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("a/b/c", None),
        ("a/b/c/d", LONG),
        ("n" * MAX_PART_BYTES, None),
        ("n" * (MAX_PART_BYTES + 1), LONG),
        ("é" * (MAX_PART_BYTES // 2), None),
        ("é" * (MAX_PART_BYTES // 2 + 1), LONG),
    ],
)
def test_the_bounds_of_a_name(name, problem):
    assert name_problem(name, depth=3) == problem


def test_the_bound_of_a_whole_name():
    assert (MAX_NAME_BYTES, MAX_PART_BYTES) == (1024, 255)
    part = "n" * (MAX_PART_BYTES - 1)
    name = f"{part}/" * 4 + "nnnn"
    assert len(name) == MAX_NAME_BYTES
    assert name_problem(name, depth=9) is None
    assert name_problem(f"{name}n", depth=9) == LONG
    assert name_problem(f"{name[:-1]}é", depth=9) == LONG


def _archive(path, *files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, size in files:
            archive.writestr(name, bytes(size))
    return path


@pytest.mark.parametrize(
    ("files", "taken"),
    [
        ((("a", 60), ("b", 40)), True),
        ((("a", 60), ("b", 41)), False),
        ((("a", 61),), False),
        ((("a", 1), ("b", 1), ("c", 1)), True),
        ((("a", 1), ("b", 1), ("c", 1), ("d", 1)), False),
    ],
)
def test_the_bounds_of_all_files(tmp_path, files, taken):
    limits = PackageLimits(total_bytes=100, file_bytes=60, entries=3, depth=5)
    archive = _archive(tmp_path / "package", *files)
    if taken:
        unpack(archive, tmp_path / "to", limits)
        found = {(path.name, path.stat().st_size) for path in (tmp_path / "to").iterdir()}
        assert found == set(files)
        return
    with pytest.raises(PackageError) as caught:
        unpack(archive, tmp_path / "to", limits)
    assert caught.value.reason == "TOO_LARGE"


def test_folders_are_made_with_and_without_files(tmp_path):
    archive = _archive(tmp_path / "package", ("empty/", 0), ("a/b/c", 1), ("a/b/d", 2), ("e/", 0))
    unpack(archive, tmp_path / "to")
    found = {path.relative_to(tmp_path / "to").as_posix() for path in (tmp_path / "to").rglob("*")}
    assert found == {"empty", "a", "a/b", "a/b/c", "a/b/d", "e"}
    assert (tmp_path / "to" / "empty").is_dir()


@pytest.mark.parametrize("files", [3, 4])
def test_a_folder_of_too_many_files_is_not_packed(tmp_path, files):
    folder, limits = tmp_path / "job", PackageLimits(entries=3)
    (folder / "deep").mkdir(parents=True)
    for index in range(files):
        (folder / ("deep" if index % 2 else ".") / f"{index}.json").write_text("{}")
    if files == 3:
        assert pack(folder, tmp_path / "package", limits).size
        return
    with pytest.raises(PackageError) as caught:
        pack(folder, tmp_path / "package", limits)
    assert (caught.value.reason, "more than 3 entries" in caught.value.message) == (
        "TOO_LARGE",
        True,
    )
    assert {path.name for path in tmp_path.iterdir()} == {"job"}


def test_no_package_is_made_that_nobody_would_take(tmp_path):
    folder = tmp_path / "job"
    folder.mkdir()
    for name in ("A.json", "a.json"):
        (folder / name).write_text("{}")
    if len(list(folder.iterdir())) == 1:
        pytest.skip("this disk does not tell case")
    with pytest.raises(PackageError) as caught:
        pack(folder, tmp_path / "package")
    assert caught.value.reason == "UNSAFE_PATH"
    assert {path.name for path in tmp_path.iterdir()} == {"job"}


def test_every_entry_of_a_package_has_one_time_and_one_mode(tmp_path):
    folder = tmp_path / "job"
    folder.mkdir()
    (folder / "a.json").write_text("{}")
    (folder / "a.json").chmod(0o600)
    pack(folder, tmp_path / "package")
    with zipfile.ZipFile(tmp_path / "package") as archive:
        (info,) = archive.infolist()
    assert info.date_time == (1980, 1, 1, 0, 0, 0)
    assert stat.S_ISREG(info.external_attr >> 16)
    assert stat.S_IMODE(info.external_attr >> 16) == 0o644
