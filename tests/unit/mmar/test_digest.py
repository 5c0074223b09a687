# SPDX-License-Identifier: Apache-2.0
"""What is part of an MMAR's digest, and as what."""

from __future__ import annotations

from mmar_runner.documents.limits import ReadingLimits
from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.folder import open_folder
from tests.unit.mmar.found import codes


def test_models_are_data_and_part_of_the_digest(mmar):
    digests = {mmar.check().report.digest}
    for content in (b"\x00" * 100, b"\x00" * 99 + b"\x01"):
        mmar.write("models/model.pt", content)
        digests.add(mmar.check().report.digest)
    mmar.write("models/model.ckpt.data-00000-of-00002", b"x")
    mmar.write("models/checkpoint", b"x")
    report = mmar.check().report

    assert len({*digests, report.digest}) == 4
    assert report.findings == ()
    assert not report.byoc


def test_code_among_models_or_in_hidden_folders_is_code(mmar):
    mmar.write("models/evil.py", "raise SystemExit")
    mmar.write(".git/config", "x")
    mmar.write(".git/hooks/post-checkout", "x")
    mmar.write("resources/.run", "x")

    report = mmar.check().report

    assert report.byoc
    assert codes(report.findings) == [
        ("MMAR622", ".git"),
        ("MMAR622", "models/evil.py"),
        ("MMAR622", "resources/.run"),
    ]


def test_what_tools_leave_behind_is_data_and_still_part_of_the_digest(mmar):
    before = mmar.check().report.digest
    for name in (".gitignore", "docs/.gitkeep", ".gitattributes", "config/.DS_Store"):
        mmar.write(name, "x")

    report = mmar.check().report

    assert report.findings == ()
    assert not report.byoc
    assert report.digest != before


def test_only_the_signature_in_the_root_is_no_part_of_the_digest(mmar):
    before = mmar.check().report.digest
    mmar.write("signature.json", "{}")
    signed = mmar.check()
    mmar.write("docs/signature.json", "{}")
    deeper = mmar.check().report

    assert signed.report.digest == before
    assert [f.path for f in signed.listing.files] == sorted(
        f"config/{name}.json"
        for name in ("config_fed_client", "config_fed_server", "config_train", "environment")
    )
    assert deeper.digest != before


def test_a_folder_or_a_link_with_the_signatures_name_is_nothing_special(mmar):
    mmar.write("signature.json/custom.py", "raise SystemExit")
    folder = mmar.check()
    (mmar.root / "signature.json/custom.py").unlink()
    (mmar.root / "signature.json").rmdir()
    (mmar.root / "signature.json").symlink_to("config/environment.json")
    link = mmar.check()

    assert folder.report.byoc
    assert "signature.json" in {file.path for file in link.listing.files}


def test_large_models_are_counted_as_files_only(mmar):
    mmar.save()
    mmar.write("models/model.pt", "x" * 4000)
    limits = ReadingLimits(file_bytes=3000, total_bytes=3000)
    findings = Findings()

    folder = open_folder(mmar.root, findings, limits)
    few = open_folder(mmar.root, findings, ReadingLimits(files=4))

    assert folder.contents["models/model.pt"] == 4000
    assert folder.unlisted == []
    assert few.unlisted == ["The folder holds more than 4 files."]


def test_many_bytes_are_hashed_to_the_same_digest_as_few(mmar, monkeypatch):
    for index in range(20):
        mmar.write(f"resources/{index}.txt", str(index) * 1000)
    one_thread = mmar.check().listing
    monkeypatch.setattr("mmar_runner.mmar.manifest._WORTH_THREADS", 0)

    assert mmar.check().listing == one_thread


def test_the_digest_tells_every_change(mmar):
    digests = {mmar.check().report.digest}
    mmar.write("docs/readme.md", "one")
    digests.add(mmar.check().report.digest)
    mmar.write("docs/readme.md", "two")
    digests.add(mmar.check().report.digest)
    (mmar.root / "docs/readme.md").rename(mmar.root / "docs/other.md")
    digests.add(mmar.check().report.digest)

    assert len(digests) == 4
