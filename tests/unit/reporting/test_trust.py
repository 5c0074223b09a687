# SPDX-License-Identifier: Apache-2.0
"""Who signed, who joined and who declined: from the MMAR's copy and the log beside the run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mmar_runner.cli.main import main
from mmar_runner.reporting.report import write_report
from mmar_runner.security.audit.log import AuditLog
from mmar_runner.testing.kits import make_kits
from tests.unit.reporting.pages import Page, check
from tests.unit.reporting.written_runs import BEGUN, DIGEST, written

ECHO = Path(__file__).parents[3] / "mmars" / "echo"
LEAD = "lead@example.org"
SITES = ("site-1", "site-2")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "ws" / "run_1"
    with written(folder) as run:
        run.start()
        run.register(*SITES, fingerprint="1" * 64)
        run.round(0, SITES)
        run.end()
    return folder


def log(folder, at=BEGUN):
    return AuditLog(folder.parent / "audit.jsonl", clock=lambda: at)


def text_of(folder):
    page = Page(write_report(folder).path)
    check(page)
    return page.text


def decline(writer, site, reason):
    facts = {"digest": DIGEST, "message": "the site says no"}
    writer.record("Decline", who=f"client {site}", decision="noted", reason=reason, **facts)


def test_what_became_of_every_site(folder):
    with log(folder) as writer:
        facts = {"digest": DIGEST, "signers": LEAD, "sites": {"accepted": "site-1, site-2"}}
        writer.record("mmar.deploy", who="server s", decision="accepted", **facts)
        for site in SITES:
            facts = {"client": site, "mmar_digest": DIGEST}
            writer.record("Register", who=f"client {site}", decision="accepted", **facts)
        decline(writer, "site-3", "PATH_NOT_ALLOWED")
        writer.record("Register", who="client site-4", decision="refused", reason="CERT_REVOKED")
    text = text_of(folder)
    assert "site-3 declined [PATH_NOT_ALLOWED]" in text
    assert "the site says no" in text
    assert "site-4 refused [CERT_REVOKED]" in text
    assert "site-1 registered 2026-11-28 14:51:48 UTC the server's" in text
    assert "Register CERT_REVOKED 1" in text


def test_a_refusal_that_every_run_may_end_with_is_no_incident(folder):
    with log(folder) as writer:
        writer.record(
            "GetValidationModels",
            who="client site-1",
            decision="refused",
            reason="CROSS_SITE_CLOSED",
        )
    assert "CROSS_SITE_CLOSED" not in text_of(folder)


def test_what_belongs_to_another_run_is_left_out(folder):
    with log(folder, BEGUN - 3600) as writer:
        decline(writer, "site-7", "PATH_NOT_ALLOWED")
    assert "site-7" not in text_of(folder)


def test_a_log_that_was_altered_is_said_to_be(folder):
    with log(folder) as writer:
        for site in ("site-3", "site-4"):
            decline(writer, site, "PATH_NOT_ALLOWED")
    path = folder.parent / "audit.jsonl"
    path.write_text(path.read_text().replace("site-4", "site-5"))
    text = text_of(folder)
    assert "AUDIT_ALTERED" in text
    assert "site-3 declined" in text
    assert "site-5" not in text


def test_what_was_signed_is_shown_and_said_not_to_be_checked(folder, tmp_path):
    kits = make_kits(tmp_path / "project", clients=SITES, admins=(LEAD,))
    mmar = Path(shutil.copytree(ECHO, tmp_path / "echo"))
    with pytest.raises(SystemExit) as ended:
        main(["sign-mmar", str(mmar), "--kit", str(kits.admin(LEAD))])
    assert not ended.value.code
    shutil.copy(mmar / "signature.json", folder / "mmar")
    text = text_of(folder)
    assert "Version 1, for every site" in text
    assert "This page checks no signature" in text
    assert "Code of its own no" in text


@pytest.mark.parametrize(
    "junk", ["", "{}", '{"payloadType": "x", "payload": "!", "signatures": []}']
)
def test_a_signature_that_is_none_is_named(folder, junk):
    (folder / "mmar" / "signature.json").write_text(junk)
    assert "signature.json could not be read" in text_of(folder)
