# SPDX-License-Identifier: Apache-2.0
"""The names in a package: none leads outside, and no two are one."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mmar_runner.errors import PackageError
from mmar_runner.security.packages.packing import unpack
from tests.unit.security.packages.makers import SMALL, of_every_kind, refusal, zipped

BAD_NAMES = {
    "parent": "../x",
    "parent inside": "a/../../x",
    "parent at the end": "a/..",
    "absolute": "/abs",
    "two slashes": "//abs",
    "drive": "C:\\x",
    "drive with a slash": "C:/x",
    "drive alone": "c:x",
    "backslash": "a\\b",
    "backslashed parent": "..\\x",
    "dot": "./x",
    "empty part": "a//b",
    "newline": "a\nb",
    "escape": "a\x1b[2Jb",
    "delete": "a\x7fb",
    "right to left": "a\u202eb",
    "decomposed": "e\u0301",
    "long part": "x" * 256,
    "long name": "/".join(["x" * 200] * 6),
    "deep": "/".join("x" * 9),
}


@of_every_kind
@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES.keys())
def test_an_unsafe_name_is_refused_and_never_mended(
    make: Callable[..., bytes], name: str, tmp_path: Path
) -> None:
    assert refusal(make(("first", b"1"), (name, b"2")), tmp_path) == "UNSAFE_PATH"


def test_a_name_with_a_nul_is_refused(tmp_path: Path) -> None:
    bad = zipped(("aXb", b"")).replace(b"aXb", b"a\0b")
    assert refusal(bad, tmp_path) == "UNSAFE_PATH"
    header = tarfile.TarInfo("aXb").tobuf(tarfile.USTAR_FORMAT).replace(b"aXb", b"a\0b")
    assert refusal(summed(header) + bytes(1024), tmp_path) == "UNSAFE_PATH"


def test_a_name_that_is_no_utf_8_is_refused(tmp_path: Path) -> None:
    assert refusal(zipped(("aXb", b"")).replace(b"aXb", b"a\xe9b"), tmp_path) == "UNSAFE_PATH"
    header = tarfile.TarInfo("aXb").tobuf(tarfile.USTAR_FORMAT).replace(b"aXb", b"a\xe9b")
    assert refusal(summed(header) + bytes(1024), tmp_path) == "UNSAFE_PATH"


CLASHES = {
    "twice": ("a", "a"),
    "case": ("a", "A"),
    "sharp s": ("straße", "STRASSE"),
    "compatible form": ("\ufb01", "fi"),
    "case of a folder": ("A/x", "a/y"),
    "file below a file": ("a", "a/b"),
    "file over a folder": ("a/b", "a"),
}


@of_every_kind
@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize("names", CLASHES.values(), ids=CLASHES.keys())
def test_two_names_for_one_place_are_refused(
    make: Callable[..., bytes], names: tuple[str, str], tmp_path: Path
) -> None:
    assert refusal(make(*((name, b"") for name in names)), tmp_path) == "UNSAFE_PATH"


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (("A", "a"), "the name 'a', which differs from 'A' in case or form only"),
        (
            ("A/x", "a/y"),
            "the name 'a/y', which lies in 'a', which differs from 'A' in case or form only",
        ),
        (("a/b", "a"), "the name 'a', which is a file and a folder"),
        (("a", "a/b"), "the name 'a/b', which lies in 'a', which is a file and a folder"),
        (("a/b", "A"), "the name 'A', which differs from 'a' in case or form only"),
    ],
)
def test_two_names_for_one_place_are_told_by_what_they_are(
    names: tuple[str, str], sentence: str, tmp_path: Path
) -> None:
    (tmp_path / "package").write_bytes(zipped(*((name, b"") for name in names)))
    with pytest.raises(PackageError) as caught:
        unpack(tmp_path / "package", tmp_path / "to", SMALL)
    assert caught.value.message == f"the package holds {sentence}"


def summed(header: bytes) -> bytes:
    """Return a tar header with the right sum."""
    blank = header[:148] + b" " * 8 + header[156:]
    return header[:148] + b"%06o\0 " % sum(blank) + header[156:]
