# SPDX-License-Identifier: Apache-2.0
"""Folders that are not what was signed, and signatures that are none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mmar_runner.security.pki.envelope import key_id, read_envelope, sign
from mmar_runner.security.pki.keys import load_private_key
from mmar_runner.security.pki.revocation import read_revocations, sign_revocations
from mmar_runner.security.signatures.manifest import MMAR_TYPE
from tests.attacks.sites.explaining import flip, reissued

LEAD, SECOND = "lead@uni.org", "second@clinic.org"


def add(mmar: Path) -> str:
    (mmar / "docs" / "more.md").write_text("x")
    return "Not signed: docs/more.md"


def delete(mmar: Path) -> str:
    (mmar / "docs" / "Readme.md").unlink()
    return "Signed, and missing: docs/Readme.md"


def rename(mmar: Path) -> str:
    (mmar / "docs" / "Readme.md").rename(mmar / "docs" / "readme.md")
    return "Signed, and missing: docs/Readme.md"


def swap(mmar: Path) -> str:
    one, two = mmar / "docs" / "Readme.md", mmar / "resources" / "log.config"
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    return "Changed since it was signed: docs/Readme.md, resources/log.config"


def second_signature(mmar: Path) -> str:
    shutil.copy(mmar / "signature.json", mmar / "config" / "signature.json")
    return "Not signed: config/signature.json"


CHANGES: list[Callable[[Path], str]] = [flip, add, delete, rename, swap, second_signature]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_d10_what_is_not_what_was_signed_is_refused_and_named(hospital, change):
    mmar = hospital.mmar()
    named = change(mmar)
    assert named in hospital.refused("site-1", mmar, "MANIFEST_MISMATCH")["message"]


def forged(hospital, mmar: Path, key, kind: str = MMAR_TYPE) -> None:
    payload = read_envelope((mmar / "signature.json").read_bytes()).payload
    (mmar / "signature.json").write_bytes(sign(kind, payload, [key]).to_json())


@pytest.mark.parametrize("key", ["site-1/client.key", "localhost/server.key", f"{LEAD}/client.key"])
def test_d12_a_key_that_is_no_release_key_signs_nothing(hospital, key):
    mmar = hospital.mmar()
    hospital.accepted("site-1", mmar)
    forged(hospital, mmar, load_private_key(hospital.kits.out / key))
    hospital.refused("site-1", mmar, "SIGNER_NOT_TRUSTED")


def test_d12_one_of_two_needed_signatures_and_the_same_key_twice_are_too_few(hospital):
    mmar = hospital.mmar()
    hospital.policy("site-1", signatures={"mmar": 2})
    hospital.refused("site-1", mmar, "THRESHOLD")

    path = mmar / "signature.json"
    value = json.loads(path.read_text())
    first = value["signatures"][0]
    second = key_id(hospital.signer(SECOND).key.public_key())
    path.write_text(json.dumps({**value, "signatures": [first, first, {**first, "keyid": second}]}))
    hospital.refused("site-1", mmar, "THRESHOLD")

    hospital.sign(mmar, SECOND, add=True)
    hospital.accepted("site-1", mmar)


@pytest.mark.parametrize("name", ["revocations.json", "signature.json"])
def test_d12_what_was_signed_as_something_else_is_no_mmar(hospital, name):
    mmar = hospital.mmar()
    shutil.copy(hospital.kit("site-1") / name, mmar / "signature.json")
    hospital.refused("site-1", mmar, "TYPE")


def envelope(**changes: object) -> Callable[[dict], str]:
    return lambda value: json.dumps({**value, **changes})


ENVELOPES: dict[str, tuple[Callable[[dict], str], str]] = {
    "payload_twice": (
        lambda v: json.dumps(v).replace('"payload":', '"payload": "e30=", "payload":'),
        "FORMAT",
    ),
    "payload_in_the_urls_alphabet": (
        lambda v: json.dumps({**v, "payload": v["payload"].rstrip("=") + "-_"}),
        "FORMAT",
    ),
    "payload_without_its_end": (
        lambda v: json.dumps({**v, "payload": v["payload"][:-3] + "\n" + v["payload"][-3:]}),
        "FORMAT",
    ),
    "ten_thousand_signatures": (
        lambda v: json.dumps({**v, "signatures": v["signatures"] * 10_000}),
        "FORMAT",
    ),
    "no_signatures": (envelope(signatures=[]), "FORMAT"),
    "nine_mebibytes": (lambda v: json.dumps(v) + " " * (9 << 20), "FORMAT"),
    "deep": (lambda v: "[" * 100_000, "FORMAT"),
    "byte_order_mark": (lambda v: "\ufeff" + json.dumps(v), "FORMAT"),
    "nothing": (lambda v: "", "FORMAT"),
}


@pytest.mark.parametrize("name", ENVELOPES)
def test_d12_an_envelope_that_plays_tricks_is_refused(hospital, name):
    spoil, reason = ENVELOPES[name]
    mmar = hospital.mmar()
    path = mmar / "signature.json"
    path.write_text(spoil(json.loads(path.read_text())))
    hospital.refused("site-1", mmar, reason)


def test_d12_a_signature_file_that_is_a_folder_is_refused(hospital):
    mmar = hospital.mmar()
    (mmar / "signature.json").unlink()
    (mmar / "signature.json").mkdir()
    (mmar / "signature.json" / "x.json").write_text("{}")
    ended = hospital.run_client("site-1", mmar)
    assert ended.code in {1, 2}, ended.out
    assert hospital.decisions("site-1")[-1:] == [("refused", ended.error["reason"])]


def test_d12_a_revoked_release_key_signs_nothing(hospital):
    mmar = hospital.mmar()
    hospital.accepted("site-1", mmar)
    kit = hospital.kit("site-1")
    signer = key_id(hospital.signer().key.public_key())
    authority = load_private_key(hospital.kits.out / "authority" / "root.key")
    root = (kit / "rootCA.pem").read_bytes()
    path = kit / "revocations.json"
    old = read_revocations(path.read_bytes(), root)
    path.write_bytes(
        sign_revocations(replace(old, version=old.version + 1, key_ids=(signer,)), authority)
    )
    ended = hospital.run_client("site-1", mmar)
    assert (ended.code, ended.error["reason"]) == (1, "SIGNER_REVOKED")
    assert hospital.decisions("site-1")[-1] == ("refused", "SIGNER_REVOKED")
    mmar.joinpath("signature.json").unlink()
    hospital.sign(mmar, SECOND)
    hospital.accepted("site-1", mmar)


def test_d12_a_signer_without_the_right_signs_nothing(hospital):
    """The key is known and not revoked; the project's policy gives its owner no role."""
    mmar = hospital.mmar()
    reissued(hospital, "site-1", lambda policy: policy["users"].pop(LEAD))
    hospital.refused("site-1", mmar, "USER_UNKNOWN")
    hospital.sign(mmar, SECOND)
    hospital.accepted("site-1", mmar)
