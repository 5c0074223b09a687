# SPDX-License-Identifier: Apache-2.0
"""MMARs that two administrators sign, and what a site says of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mmar_runner.security.listing import FileKind, FileListing, ListedFile
from mmar_runner.security.pki.envelope import key_id, sign
from mmar_runner.security.pki.revocation import RevocationList
from mmar_runner.security.pki.trust_root import ReleaseKey, TrustRoot
from mmar_runner.security.policy.site_policy import SitePolicy
from mmar_runner.security.signatures.check import check_signatures
from mmar_runner.security.signatures.context import SignatureContext
from mmar_runner.security.signatures.manifest import MMAR_TYPE, dump_manifest, make_manifest

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
ADA, BOB = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
STRANGER, TLS = ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())
CONFIG = ListedFile("config/a.json", 2, "a" * 64, FileKind.CONFIG)
MODEL = ListedFile("models/b.pt", 3, "b" * 64, FileKind.DATA)
CODE = ListedFile("custom/c.py", 4, "c" * 64, FileKind.CODE)
DATA_ONLY = FileListing("job", (CONFIG, MODEL))
WITH_CODE = FileListing("job", (CONFIG, CODE, MODEL))


def release_key(owner, key):
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return ReleaseKey(key_id(key.public_key()), pem.decode(), owner, "org")


TRUST = TrustRoot("p", "0" * 64, (release_key("ada@x.org", ADA), release_key("bob@x.org", BOB)))
FRESH = RevocationList("p", 1, NOW - DAY, NOW + DAY)
SITE = SignatureContext("site-1", TRUST, FRESH, SitePolicy(), NOW)
TWO = replace(SITE, policy=SitePolicy(signatures={"mmar": 1, "byoc": 2}))


def manifest(listing=DATA_ONLY, **more):
    options = {"project": "p", "version": 3, "created": NOW, "expires": NOW + DAY, **more}
    return make_manifest(listing, **options)


def signed(listing=DATA_ONLY, keys=(ADA,), payload_type=MMAR_TYPE, **more):
    return sign(payload_type, dump_manifest(manifest(listing, **more)), keys).to_json()


#: The rules that give each reason.
RULES = {
    "DIGEST_REVOKED": {"digest"},
    "SIGNATURE_MISSING": {"present"},
    "FORMAT": {"format"},
    "TYPE": {"format"},
    "SIGNER_REVOKED": {"signer"},
    "SIGNER_NOT_TRUSTED": {"signer"},
    "REVOCATIONS_STALE": {"revocations"},
    "THRESHOLD": {"threshold"},
    "WRONG_PROJECT": {"project"},
    "WRONG_AUDIENCE": {"audience"},
    "SIGNATURE_EXPIRED": {"expiry"},
    "VERSION_ROLLBACK": {"version"},
    "MANIFEST_MISMATCH": {"files", "name"},
}


def reasons(data, context=SITE, listing=DATA_ONLY):
    report = check_signatures(listing, data, context)
    refusals = [step for step in report.steps if not step.accepted]
    assert all(step.rule.startswith("signature.") for step in report.steps)
    for step in refusals:
        assert step.rule.removeprefix("signature.") in RULES[step.reason]
    assert all(step.hint for step in refusals), "a refusal says what would change it"
    assert report.accepted is not bool(refusals)
    return [step.reason for step in refusals]


def refusal(data, context=SITE, listing=DATA_ONLY):
    report = check_signatures(listing, data, context)
    (step,) = [step for step in report.steps if not step.accepted]
    return step
