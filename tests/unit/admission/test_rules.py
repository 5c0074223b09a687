# SPDX-License-Identifier: Apache-2.0
"""What a site asks, and what is asked in its place."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from mmar_runner.admission.rules import SiteRules
from mmar_runner.security.policy.site_policy import SitePolicy

NOW = datetime(2026, 11, 28, tzinfo=UTC)
STRICT = SitePolicy(signatures={"mmar": 2})


@pytest.fixture
def rules():
    versions = SimpleNamespace(known=lambda: {"digits": 7})
    return SiteRules("site-1", None, None, "the project's", STRICT, versions)


def test_of_itself_a_site_asks_the_same_whoever_explains_it(rules):
    """`policy explain` made a question of its own once."""
    assert rules.question("local", NOW, site="site-1") == rules.question("local", NOW)


def test_what_a_site_asks_for_and_remembers_says_nothing_of_another(rules):
    asked = rules.question("delivered", NOW, site="site-2", own=False)
    assert (asked.site, asked.action, asked.context.site) == ("site-2", "run", "site-2")
    assert asked.policies.site_policy is None
    assert (asked.context.policy, asked.context.versions) == (SitePolicy(), {})


def test_a_policy_that_is_named_is_the_one_that_is_asked(rules):
    named = SitePolicy(signatures={"mmar": 3})
    asked = rules.question("delivered", NOW, site="server", own=False, policy=named)
    assert (asked.action, asked.context.site) == ("upload", None)
    assert asked.policies.site_policy is asked.context.policy is named
