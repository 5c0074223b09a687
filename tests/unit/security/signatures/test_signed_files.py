# SPDX-License-Identifier: Apache-2.0
"""Whether an MMAR's files are the signed ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mmar_runner.security.decision import Place
from mmar_runner.security.listing import FileKind, FileListing, ListedFile
from mmar_runner.security.policy.site_policy import SitePolicy
from mmar_runner.security.signatures.check import check_signatures
from tests.unit.security.signatures.signing import (
    CONFIG,
    DATA_ONLY,
    MODEL,
    NOW,
    SITE,
    WITH_CODE,
    reasons,
    refusal,
    signed,
)


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ((replace(CONFIG, sha256="0" * 64), MODEL), "Changed since it was signed: config/a.json"),
        ((CONFIG,), "Signed, and missing: models/b.pt"),
        ((CONFIG, MODEL, ListedFile("z.txt", 0, "d" * 64, FileKind.DATA)), "Not signed: z.txt"),
        (
            (replace(CONFIG, path="models/b.pt"), replace(MODEL, path="config/a.json")),
            "Changed since it was signed: config/a.json, models/b.pt",
        ),
    ],
    ids=["altered", "deleted", "added", "swapped"],
)
def test_files_other_than_the_signed_ones_are_named(files, named):
    step = refusal(signed(), listing=FileListing("job", files))

    assert step.reason == "MANIFEST_MISMATCH"
    assert named in step.message
    assert isinstance(step.subject, Place)


def test_each_kind_of_difference_has_its_own_place_and_mend():
    more = ListedFile(".DS_Store", 0, "d" * 64, FileKind.DATA)
    changed = replace(MODEL, sha256="0" * 64)
    listing = FileListing("job", (more, replace(CONFIG, path="config/A.json"), changed))

    report = check_signatures(listing, signed(), SITE)

    told = [(s.message, s.subject.file, s.hint) for s in report.steps if not s.accepted]
    assert [(message, file) for message, file, _ in told] == [
        ("Changed since it was signed: models/b.pt.", "models/b.pt"),
        ("Signed, and missing: config/a.json.", "config/a.json"),
        ("Not signed: .DS_Store, config/A.json.", ".DS_Store"),
    ]
    begun = [hint.partition(" ")[0] for _, _, hint in told]
    assert begun == ["Restore", "Put", "Remove"]


def test_what_could_not_be_listed_fits_no_signature():
    step = refusal(signed(), listing=replace(DATA_ONLY, unlisted=("x: a link that leaves",)))

    assert step.reason == "MANIFEST_MISMATCH"
    assert "x: a link that leaves" in step.message


def test_everything_that_is_wrong_is_said_at_once():
    data = signed(project="q", audience=("site-2",), expires=NOW)

    assert reasons(data, listing=WITH_CODE) == [
        *("WRONG_PROJECT", "WRONG_AUDIENCE", "SIGNATURE_EXPIRED", "MANIFEST_MISMATCH")
    ]


@pytest.mark.parametrize("data", [None, signed(project="q")], ids=["unsigned", "badly_signed"])
def test_a_site_accepts_its_own_folder_by_digest(data):
    policy = SitePolicy(accepted_digests=(DATA_ONLY.digest,))
    local = replace(SITE, policy=policy, origin="local")

    assert reasons(data, local) == []
    assert reasons(data, replace(local, policy=SitePolicy())) != []
    assert reasons(data, replace(local, origin="delivered")) != []
    unlisted = replace(DATA_ONLY, unlisted=("x: a link that leaves",))
    assert reasons(data, local, unlisted) != []


def test_a_good_signature_is_kept_where_the_digest_is_accepted_too():
    policy = SitePolicy(accepted_digests=(DATA_ONLY.digest,))
    report = check_signatures(DATA_ONLY, signed(), replace(SITE, policy=policy, origin="local"))

    assert report.owners == ("ada@x.org",)
    assert report.manifest is not None
