# SPDX-License-Identifier: Apache-2.0
"""The guards of signatures, replaced: then each attack goes through."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mmar_runner.security.pki.envelope import key_id
from mmar_runner.security.signatures import check as signature_check
from mmar_runner.security.signatures import rules as signature_rules
from mmar_runner.security.signatures.context import SeenVersion
from mmar_runner.security.steps import accepts
from tests.unit.security.signatures.signing import (
    ADA,
    DATA_ONLY,
    FRESH,
    NOW,
    SITE,
    STRANGER,
    TRUST,
    TWO,
    WITH_CODE,
    reasons,
    signed,
)


def _lets_pass(*_):
    return accepts("signature.replaced", "This guard was taken away.")


@pytest.mark.parametrize(
    ("module", "guard", "reason", "attack"),
    [
        (
            signature_check,
            "_digest",
            "DIGEST_REVOKED",
            (signed(), replace(SITE, revocations=replace(FRESH, digests=(DATA_ONLY.digest,)))),
        ),
        (
            signature_check,
            "_revocations",
            "REVOCATIONS_STALE",
            (signed(), replace(SITE, revocations=replace(FRESH, expires=NOW))),
        ),
        (
            signature_check,
            "_threshold",
            "THRESHOLD",
            (signed(WITH_CODE), TWO, WITH_CODE),
        ),
        (signature_rules, "_project", "WRONG_PROJECT", (signed(project="q"),)),
        (signature_rules, "audience", "WRONG_AUDIENCE", (signed(audience=("site-2",)),)),
        (signature_rules, "_expiry", "SIGNATURE_EXPIRED", (signed(expires=NOW),)),
        (
            signature_rules,
            "_version",
            "VERSION_ROLLBACK",
            (signed(), replace(SITE, versions={("p", "job"): SeenVersion(4)})),
        ),
        (signature_rules, "_files", "MANIFEST_MISMATCH", (signed(), SITE, WITH_CODE)),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isupper() else "",
)
def test_without_its_guard_each_attack_goes_through(module, guard, reason, attack, monkeypatch):
    assert reasons(*attack) == [reason]

    def each(*arguments):
        yield _lets_pass(*arguments)

    monkeypatch.setattr(module, guard, each if guard == "_files" else _lets_pass)

    assert reasons(*attack) == []


def test_without_the_list_of_revoked_keys_a_revoked_key_signs():
    context = replace(SITE, revocations=replace(FRESH, key_ids=(key_id(ADA.public_key()),)))

    assert reasons(signed(), context) == ["SIGNER_REVOKED"]
    assert reasons(signed(), SITE) == []


def test_without_verifying_anybody_signs(monkeypatch):
    everybody = frozenset(key.id for key in TRUST.release_keys)
    data = signed(keys=(STRANGER,))
    assert reasons(data) == ["SIGNER_NOT_TRUSTED"]

    monkeypatch.setattr(signature_check, "verify", lambda *_: everybody)

    assert reasons(data) == []
