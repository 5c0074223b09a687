# SPDX-License-Identifier: Apache-2.0
"""A folder is read once, safely, and what is wrong with it is named."""

from __future__ import annotations

import os

import pytest

from mmar_runner.documents.limits import ReadingLimits
from mmar_runner.errors import MmarUnreadableError
from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.folder import open_folder
from tests.unit.mmar.found import codes

SERVER = "config/config_fed_server.json"


def test_no_folder_a_file_and_a_folder_without_config_are_unreadable(tmp_path, mmar):
    (tmp_path / "file").write_text("{}")
    (tmp_path / "empty").mkdir()

    for name in ("nowhere", "file", "empty"):
        mmar.root = tmp_path / name
        with pytest.raises(MmarUnreadableError) as caught:
            mmar.check(saved=True)
        assert name in caught.value.message


def test_missing_files_are_named_with_where_they_lie(mmar):
    mmar.save()
    (mmar.root / SERVER).rename(mmar.root / "config_fed_server.json")
    (mmar.root / "config/config_fed_client.json").rename(
        mmar.root / "config/config_fed_clients.json"
    )

    found = mmar.check(saved=True).report.findings

    assert codes(found) == [
        ("MMAR102", "config/config_fed_client.json"),
        ("MMAR102", SERVER),
    ]
    assert "config_fed_clients.json" in found[0].hint
    assert "Move config_fed_server.json to config/" in found[1].hint


def test_a_misspelt_file_elsewhere_is_no_hint(mmar):
    mmar.save()
    (mmar.root / SERVER).rename(mmar.root / "docs_config_fed_servers.json")
    (finding,) = [f for f in mmar.check(saved=True).report.findings if f.code == "MMAR102"]
    assert "docs_" not in finding.hint


def test_one_side_does_not_need_the_other_sides_file(mmar):
    mmar.save()
    (mmar.root / SERVER).unlink()

    assert mmar.check(saved=True, side="client").report.valid
    assert not mmar.check(saved=True, side="server").report.valid


def test_the_train_file_is_missed_by_the_trainer_that_needs_it(mmar):
    mmar.train = None

    finding = mmar.only()

    assert (finding.code, finding.file) == ("MMAR609", "config/config_train.json")


@pytest.mark.parametrize("target", ["../outside.json", "/etc/passwd", "nowhere.json"])
def test_a_link_that_leaves_or_dangles_is_refused_and_never_read(mmar, tmp_path, target):
    (tmp_path / "outside.json").write_text('{"DATA_ROOT": "/stolen"}')
    mmar.environment = None
    mmar.save()
    (mmar.root / "config" / "environment.json").symlink_to(target)

    checked = mmar.check(saved=True)

    assert codes(checked.report.findings) == [("MMAR103", "config/environment.json")]
    assert "DATA_ROOT" not in checked.spec.variables


def test_a_linked_folder_that_leaves_is_refused(mmar, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "evil.py").write_text("raise SystemExit")
    mmar.save()
    (mmar.root / "custom").symlink_to(tmp_path / "elsewhere")

    checked = mmar.check(saved=True)

    assert codes(checked.report.findings) == [("MMAR103", "custom")]
    assert not checked.report.byoc


def test_a_link_that_stays_is_read(mmar):
    mmar.save()
    (mmar.root / "config/environment.json").rename(mmar.root / "config/site.json")
    (mmar.root / "config/environment.json").symlink_to("site.json")

    assert mmar.check(saved=True).report.findings == ()


@pytest.mark.parametrize(("link", "target"), [("docs", "config"), ("loop", "."), ("custom", "own")])
def test_a_link_to_a_folder_is_said_to_be_left_out(mmar, link, target):
    mmar.write("own/net.txt", "")
    before = mmar.check().report.digest
    (mmar.root / link).symlink_to(target)

    report = mmar.check(saved=True).report

    (found,) = report.findings
    assert (found.code, found.severity, found.file) == ("MMAR661", "warning", link)
    assert report.digest == before


def test_a_pipe_is_refused_without_waiting_for_it(mmar):
    mmar.save()
    os.mkfifo(mmar.root / "config" / "config_validation.json")

    finding = mmar.check(saved=True).report.findings[0]

    assert (finding.code, finding.file) == ("MMAR104", "config/config_validation.json")


def test_hostile_file_names_are_refused(mmar):
    mmar.save()
    (mmar.root / "config" / "a\\b.json").write_text("{}")
    (mmar.root / "config" / "a\x1b[31m.json").write_text("{}")
    (mmar.root / os.fsdecode(b"caf\xe9.json")).write_text("{}")

    found = mmar.check(saved=True).report.findings

    assert [f.code for f in found] == ["MMAR107"] * 3
    assert all(f.file.isprintable() for f in found)


def test_an_unreadable_file_is_named(mmar):
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    mmar.save()
    (mmar.root / "config/environment.json").chmod(0)

    assert codes(mmar.check(saved=True).report.findings) == [("MMAR108", "config/environment.json")]


def test_too_many_and_too_large_files_are_refused(mmar):
    mmar.save()
    mmar.write("docs/large.txt", "x" * 2000)
    findings = Findings()

    open_folder(mmar.root, findings, ReadingLimits(file_bytes=1500))
    open_folder(mmar.root, findings, ReadingLimits(files=2))
    open_folder(mmar.root, findings, ReadingLimits(total_bytes=1900))
    open_folder(mmar.root, findings, ReadingLimits(folder_depth=0))

    found = findings.result(strict=False)
    assert [f.code for f in found].count("MMAR105") == 1
    assert {"holds more than 2 files", "holds more than 1900 bytes"} <= {
        f.message.removeprefix("The folder ").rstrip(".") for f in found
    }
    assert any("nested too deeply" in f.message for f in found)


def test_a_large_json_file_is_not_read(mmar):
    mmar.save()
    mmar.write("config/config_validation.json", b" " * (8 * 1024 * 1024 + 1))

    assert codes(mmar.check(saved=True).report.findings) == [
        ("MMAR105", "config/config_validation.json")
    ]


@pytest.mark.parametrize(
    ("content", "code", "place"),
    [
        (b"\xef\xbb\xbf{}", "MMAR113", (1, 1)),
        ("{}".encode("utf-16"), "MMAR114", (1, 1)),
        ('{\n "a": "é"}'.encode("latin-1"), "MMAR114", (2, 8)),
        (b"[]", "MMAR402", (1, 1)),
        (b'{"a": }', "MMAR110", (1, 2)),
        ("{}".encode("utf-16-le"), "MMAR114", (1, 1)),
        (b'{"a": NaN}', "MMAR112", (1, 7)),
        (b'{"a": 1, "a": 2}', "MMAR111", (1, 10)),
        (b"[" * 100, "MMAR115", (1, 65)),
        (b"", "MMAR110", (1, 1)),
    ],
)
def test_what_is_wrong_with_a_files_text_is_the_only_finding(mmar, content, code, place):
    mmar.environment = None
    mmar.save()
    mmar.write("config/environment.json", content)

    finding = mmar.check(saved=True).report.findings

    assert [(f.code, f.file, (f.line, f.column)) for f in finding] == [
        (code, "config/environment.json", place)
    ]


def test_a_damaged_server_file_hides_nothing_in_the_client_file(mmar):
    mmar.client["client_trainer"]["name"] = "Trianer"
    mmar.save()
    mmar.write(SERVER, '{"servers": [')

    found = mmar.check(saved=True).report.findings

    assert codes(found) == [("MMAR501", "config/config_fed_client.json"), ("MMAR110", SERVER)]


def test_a_value_that_cannot_be_read_has_no_second_finding(mmar):
    mmar.save()
    text = (mmar.root / SERVER).read_text().replace('"num_rounds": 3', '"num_rounds": NaN')
    mmar.write(SERVER, text)

    checked = mmar.check(saved=True)

    assert [(f.code, f.pointer) for f in checked.report.findings] == [
        ("MMAR112", "/servers/0/num_rounds")
    ]
    assert checked.spec.server is None
