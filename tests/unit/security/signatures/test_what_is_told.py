# SPDX-License-Identifier: Apache-2.0
"""What is told of signatures: which key, which files, how many."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mmar_runner.security.decision import Place
from mmar_runner.security.listing import FileKind, FileListing, ListedFile
from mmar_runner.security.pki.envelope import key_id, sign
from mmar_runner.security.policy.site_policy import load_policy
from mmar_runner.security.signatures.check import check_signatures
from mmar_runner.security.signatures.manifest import MMAR_TYPE, dump_manifest
from tests.unit.security.signatures.signing import (
    ADA,
    CONFIG,
    DATA_ONLY,
    FRESH,
    MODEL,
    SITE,
    STRANGER,
    TRUST,
    manifest,
    reasons,
    refusal,
    signed,
)


def test_one_revoked_key_among_those_that_are_claimed_is_told():
    trust = replace(TRUST, release_keys=TRUST.release_keys[1:])
    revoked = replace(FRESH, key_ids=(key_id(ADA.public_key()),))
    context = replace(SITE, trust_root=trust, revocations=revoked)

    for keys in ((ADA,), (ADA, STRANGER), (STRANGER, ADA)):
        assert reasons(signed(keys=keys), context) == ["SIGNER_REVOKED"]
    assert reasons(signed(keys=(STRANGER,)), context) == ["SIGNER_NOT_TRUSTED"]


def test_a_key_is_named_by_sixteen_letters():
    known, claimed = key_id(ADA.public_key()), key_id(STRANGER.public_key())
    report = check_signatures(DATA_ONLY, signed(), SITE)
    (signer,) = [step for step in report.steps if step.rule == "signature.signer"]
    assert signer.message == f"Signed by ada@x.org ({known[:16]})."
    revoked = replace(SITE, revocations=replace(FRESH, key_ids=(known,)))
    message = refusal(signed(), revoked).message
    assert message == f"Only revoked keys signed it: ada@x.org ({known[:16]})."
    message = refusal(signed(keys=(STRANGER,))).message
    assert message.endswith(f"it claims the keys '{claimed[:16]}'.")


@pytest.mark.parametrize(
    ("count", "named"),
    [
        (5, "z0, z1, z2, z3, z4."),
        (6, "z0, z1, z2, z3, z4 and 1 more."),
        (8, "z0, z1, z2, z3, z4 and 3 more."),
    ],
)
def test_of_many_files_the_first_five_are_named(count, named):
    more = [ListedFile(f"z{n}", 0, "d" * 64, FileKind.DATA) for n in range(count)]
    step = refusal(signed(), listing=FileListing("job", (CONFIG, MODEL, *more)))
    assert step.message == f"Not signed: {named}"
    unsigned = FileListing("job", (CONFIG, MODEL))
    step = refusal(signed(FileListing("job", (CONFIG, MODEL, *more))), listing=unsigned)
    assert step.message == f"Signed, and missing: {named}"


def test_a_digest_that_is_not_that_of_the_signed_files_is_refused():
    other = replace(manifest(), digest="9" * 64)
    step = refusal(sign(MMAR_TYPE, dump_manifest(other), [ADA]).to_json())
    assert (step.rule, step.reason) == ("signature.files", "MANIFEST_MISMATCH")
    assert step.message == "The signed digest is not that of the signed files."
    assert step.subject == Place("signature.json")


def test_a_digest_that_the_site_accepted_is_pointed_at(tmp_path):
    path = tmp_path / "site_policy.json"
    digests = ["b" * 64, DATA_ONLY.digest]
    path.write_text(json.dumps({"version": 1, "accepted_digests": digests}))
    context = replace(SITE, policy=load_policy(path), origin="local")
    (present,) = check_signatures(DATA_ONLY, None, context).steps[1:]
    assert present.policy.pointer == "/accepted_digests/1"
