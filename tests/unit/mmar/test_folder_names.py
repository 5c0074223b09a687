# SPDX-License-Identifier: Apache-2.0
"""Names of files and folders have to mean the same everywhere."""

from __future__ import annotations

import pytest

from mmar_runner.security.packages.packing import PackageLimits, pack
from tests.unit.mmar.found import codes

LONG = "/".join(["x" * 200] * 6)


@pytest.mark.parametrize(
    ("names", "refused"),
    [
        (["docs/cafe\u0301.md"], "docs/cafe\u0301.md"),
        (["docs/Readme.md", "docs/readme.md"], "docs/readme.md"),
        (["docs/a.md", "Docs/b.md"], "Docs"),
        (["docs/stra\xdfe.md", "docs/strasse.md"], "docs/stra\xdfe.md"),
        (["docs/1.txt", "docs/\u2460.txt"], "docs/\u2460.txt"),
        (["a/b.txt", "a\uff0fb.txt"], "a\uff0fb.txt"),
        (["c:x.txt"], "c:x.txt"),
        ([LONG], LONG),
    ],
    ids=[
        *("decomposed", "case", "case_of_folders", "folded"),
        *("compatible form", "slash of another kind", "drive", "too long"),
    ],
)
def test_names_that_do_not_mean_the_same_everywhere_are_refused(mmar, names, refused):
    for name in names:
        mmar.write(name, "x")

    checked = mmar.check()

    assert codes(checked.report.findings) == [("MMAR107", refused)]
    assert checked.listing.unlisted[0].startswith(f"{refused}: ")


def test_a_folder_whose_own_name_cannot_be_delivered_is_refused(mmar, tmp_path):
    mmar.save()
    mmar.root = mmar.root.rename(tmp_path / "cafe\u0301")

    found = mmar.check(saved=True).report.findings

    assert codes(found) == [("MMAR107", "")]


def test_what_validates_can_be_packed_however_many_folders_it_has(mmar, tmp_path):
    for index in range(20):
        mmar.write(f"docs/{index}/a/b/x.txt", "x")

    assert mmar.check().report.valid

    pack(mmar.root, tmp_path / "package.zip", PackageLimits(entries=24))


def test_composed_names_and_equal_names_in_different_folders_are_fine(mmar):
    mmar.write("docs/caf\xe9.md", "x")
    mmar.write("resources/CAF\xc9.md", "x")

    assert mmar.check().report.findings == ()


@pytest.mark.parametrize(
    ("read", "beside"),
    [
        ("config/environment.json", "config/Environment.json"),
        ("docs/Readme.md", "docs/README.md"),
    ],
)
def test_of_two_names_the_one_that_nobody_reads_is_to_be_renamed(mmar, read, beside):
    mmar.save()
    mmar.write(read, "{}")
    mmar.write(beside, "{}")

    checked = mmar.check(saved=True)

    assert codes(checked.report.findings) == [("MMAR107", beside)]
    assert read in checked.folder.files
