# SPDX-License-Identifier: Apache-2.0
"""What was signed is a set of files, each to its last byte."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmar_runner.cli.main import main
from tests.e2e.signatures.projects import ADA, _add


def test_an_honestly_signed_mmar_is_accepted_everywhere(cli):
    signed = cli.sign()

    assert (signed["version"], signed["signers"], signed["added"]) == (1, [ADA], False)
    for site in ("site-1", "site-2", "localhost"):
        assert cli.verify(site) == []


def test_d10_each_file_in_turn_changed_by_one_byte_is_named(cli):
    cli.sign()
    files = [path for path in cli.mmar.rglob("*") if path.is_file() and path != cli.envelope]
    for path in files:
        honest = path.read_bytes()
        path.write_bytes(bytes([honest[0] ^ 1]) + honest[1:] if honest else b"x")

        assert "MANIFEST_MISMATCH" in cli.verify()
        assert str(path.relative_to(cli.mmar)) in str(cli.steps)
        path.write_bytes(honest)
    assert cli.verify() == []


def _add_hidden(mmar):
    (mmar / ".hidden.txt").write_text("x")
    return "Not signed: .hidden.txt"


def _add_model(mmar):
    (mmar / "models" / "other.pt").write_bytes(b"x")
    return "Not signed: models/other.pt"


def _delete(mmar):
    (mmar / "models" / "start.safetensors").unlink()
    return "Signed, and missing: models/start.safetensors"


def _swap(mmar):
    first, second = mmar / ".gitkeep", mmar / "models" / "start.safetensors"
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)
    return "Changed since it was signed: .gitkeep, models/start.safetensors"


def _rename(mmar):
    (mmar / "models" / "start.safetensors").rename(mmar / "models" / "begin.safetensors")
    return "Signed, and missing: models/start.safetensors"


def _rename_in_case(mmar):
    (mmar / "models" / "start.safetensors").rename(mmar / "models" / "Start.safetensors")
    return "Signed, and missing: models/start.safetensors"


def _move(mmar):
    (mmar / "models" / "start.safetensors").rename(mmar / "start.safetensors")
    return "Signed, and missing: models/start.safetensors"


@pytest.mark.parametrize(
    "change",
    [_add, _add_hidden, _add_model, _delete, _swap, _rename, _rename_in_case, _move],
    ids=lambda change: change.__name__.strip("_"),
)
def test_d10_what_is_not_the_signed_set_of_files_is_refused_by_name(cli, change):
    cli.sign()
    assert cli.verify() == []

    named = change(cli.mmar)

    assert set(cli.verify()) == {"MANIFEST_MISMATCH"}
    assert named in str(cli.steps)


def test_d10_a_name_in_decomposed_unicode_is_not_the_composed_one(cli):
    composed, decomposed = (cli.mmar / "models" / f"{name}.pt" for name in ("\xe9", "e\u0301"))
    composed.write_bytes(b"x")
    cli.sign()
    assert cli.verify() == []

    composed.rename(decomposed)

    assert cli.verify() == ["MANIFEST_MISMATCH"]


def test_d10_a_link_that_leaves_fits_no_signature(cli, tmp_path):
    cli.sign()
    (tmp_path / "outside.txt").write_text("x")
    (cli.mmar / "link.txt").symlink_to(tmp_path / "outside.txt")

    assert cli.verify() == ["MANIFEST_MISMATCH"]


@given(data=st.data())
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_one_changed_byte_of_a_file_or_of_the_signed_payload_is_refused(cli, data):
    if not cli.envelope.exists():
        cli.sign()
        assert cli.verify() == []
    honest = cli.envelope.read_bytes()
    start = honest.index(b'"payload": "') + len(b'"payload": "')
    end = honest.index(b'"', start)
    files = sorted(path for path in cli.mmar.rglob("*") if path.is_file() and path.stat().st_size)
    path = data.draw(st.sampled_from(files))
    before = path.read_bytes()
    first, last = (start, end - 1) if path == cli.envelope else (0, len(before) - 1)
    position = data.draw(st.integers(first, last))
    byte = data.draw(st.integers(0, 255).filter(lambda b: b != before[position]))
    path.write_bytes(before[:position] + bytes([byte]) + before[position + 1 :])
    try:
        assert cli.verify()
    finally:
        path.write_bytes(before)


def test_hidden_and_left_over_files_that_are_signed_are_named(cli):
    cache = cli.mmar / "custom" / "__pycache__"
    cache.mkdir(parents=True)
    stray = [".DS_Store", "Thumbs.db", "config/x.json~", "custom/__pycache__/x.pyc"]
    for name in stray:
        (cli.mmar / name).write_text("")
    with pytest.raises(SystemExit) as caught:
        main(["sign-mmar", str(cli.mmar), "--kit", str(cli.project.kit(ADA))])
    assert caught.value.code == 0
    names = ", ".join([".DS_Store", ".gitkeep", *stray[1:]])
    told = f"hidden or left-over files are part of what is signed: {names}"
    assert told in cli.capsys.readouterr().out
    assert cli.sign()["stray"] == [".DS_Store", ".gitkeep", *stray[1:]]
