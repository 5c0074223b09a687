# SPDX-License-Identifier: Apache-2.0
"""What is signed of an MMAR, and in what a folder differs from it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mmar_runner.security.listing import FileKind, FileListing, ListedFile
from mmar_runner.security.signatures.manifest import (
    differences,
    dump_manifest,
    make_manifest,
    read_manifest,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
FILES = (
    ListedFile("config/a.json", 2, "a" * 64, FileKind.CONFIG),
    ListedFile("custom/é.py", 3, "b" * 64, FileKind.CODE),
    ListedFile("models/c.pt", 4, "c" * 64, FileKind.DATA),
)
LISTING = FileListing("job", FILES)


def manifest(listing=LISTING, **more):
    options = {"version": 3, "created": NOW, "expires": NOW + timedelta(days=1), **more}
    return make_manifest(listing, project="p", **options)


def told(files):
    found = differences(FileListing("job", tuple(files)), manifest())
    return found.altered, found.missing, found.added


def test_a_manifest_is_read_as_it_was_written():
    written = manifest(audience=("site-2", "site-1", "site-2"))

    assert read_manifest(dump_manifest(written)) == written
    assert written.audience == ("site-1", "site-2")
    assert written.digest == LISTING.digest
    assert written.byoc


def test_it_is_written_without_blanks_and_in_plain_letters():
    text = dump_manifest(manifest()).decode()
    assert text == json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))
    assert "custom/é.py" in text


def test_it_is_meant_for_those_it_names_or_for_everybody():
    assert manifest().meant_for("anybody")
    named = manifest(audience=("site-1",))
    assert named.meant_for("site-1")
    assert not named.meant_for("SITE-1")


def test_times_are_kept_in_utc_and_whole_seconds():
    written = manifest(created=datetime.fromisoformat("2026-11-24T14:00:00.5+02:00"))

    assert written.created == NOW


def test_the_digest_depends_on_path_size_content_and_order_of_nothing_else():
    first, *rest = FILES
    changes = (
        replace(first, path="config/b.json"),
        replace(first, size=3),
        replace(first, sha256="d" * 64),
    )

    digests = {FileListing("job", (change, *rest)).digest for change in changes}

    assert len({*digests, LISTING.digest}) == 4
    assert FileListing("other", FILES).digest == LISTING.digest


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (FILES, ((), (), ())),
        (
            (replace(FILES[0], sha256="0" * 64), *FILES[1:]),
            (("config/a.json",), (), ()),
        ),
        ((replace(FILES[0], size=1), *FILES[1:]), (("config/a.json",), (), ())),
        (FILES[1:], ((), ("config/a.json",), ())),
        ((*FILES, ListedFile("z", 1, "e" * 64, FileKind.CODE)), ((), (), ("z",))),
        (
            (replace(FILES[0], path="config/A.json"), *FILES[1:]),
            ((), ("config/a.json",), ("config/A.json",)),
        ),
        (
            (replace(FILES[0], sha256="c" * 64, size=4), FILES[1], replace(FILES[2], size=2)),
            (("config/a.json", "models/c.pt"), (), ()),
        ),
    ],
    ids=["equal", "content", "size", "deleted", "added", "renamed_in_case", "swapped"],
)
def test_every_difference_is_named(files, expected):
    assert told(files) == expected
    assert bool(differences(FileListing("job", tuple(files)), manifest())) is any(expected)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda v: v.update(type="application/json"), "/type"),
        (lambda v: v.update(spec_version=2), "/spec_version"),
        (lambda v: v.update(version=0), "/version"),
        (lambda v: v.update(version=True), "/version"),
        (lambda v: v.update(version=1.5), "/version"),
        (lambda v: v.update(version=1.0), "/version: .* whole"),
        (lambda v: v["files"][0].update(size=2.0), "/size: .* whole"),
        (lambda v: v.update(expires="0001-01-01T00:00:00+23:00"), "0001"),
        (lambda v: v.update(audience=[]), "/audience"),
        (lambda v: v.update(more=1), "more"),
        (lambda v: v.pop("expires"), "expires"),
        (lambda v: v.update(expires="tomorrow"), "tomorrow"),
        (lambda v: v.update(expires="2026-11-24T12:00:00"), "zone"),
        (lambda v: v["files"].append(v["files"][0]), "twice"),
        (lambda v: v["files"][0].update(size=-1), "/files/0/size"),
        (lambda v: v["files"][0].update(kind="other"), "/files/0/kind"),
    ],
    ids=[
        *("type", "spec_version", "version_0", "version_true", "version_1.5", "version_1.0"),
        *("size_2.0", "before_all_time", "nobody"),
        *("unknown", "no_expiry", "no_time", "no_zone", "file_twice", "size", "kind"),
    ],
)
def test_what_is_no_manifest_is_refused(change, word):
    value = json.loads(dump_manifest(manifest()))
    change(value)

    with pytest.raises(ValueError, match=word):
        read_manifest(json.dumps(value).encode())


def test_a_key_twice_is_refused():
    text = dump_manifest(manifest()).replace(b'"version":3', b'"version":3,"version":4')

    with pytest.raises(ValueError, match="'version' twice"):
        read_manifest(text)
