# SPDX-License-Identifier: Apache-2.0
"""The one way from a folder to something that may run, and what it leaves behind."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.admission import examination
from mmar_runner.admission.admitting import Admission, admit
from mmar_runner.admission.deployment import decide_for_sites
from mmar_runner.admission.rules import SiteRules, rules_of
from mmar_runner.errors import MmarError, MmarUnreadableError
from mmar_runner.hooks import LoadedPlugins, load_plugins
from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.folder import open_folder
from mmar_runner.mmar.manifest import list_files
from mmar_runner.security.identity import Role
from mmar_runner.security.kits.kit import load_kit
from mmar_runner.security.packages.mmar_store import MmarStore
from mmar_runner.security.policy.site_policy import SitePolicy
from mmar_runner.security.signatures.context import SeenVersion
from mmar_runner.security.signatures.version_memory import VersionMemory
from mmar_runner.testing.builders import MmarBuilder
from mmar_runner.testing.kits import Kits
from tests.signed_mmars import sign as sign_mmar
from tests.signed_mmars import signer_of

LEAD = "lead@example.org"


@pytest.fixture(scope="module")
def plugins() -> LoadedPlugins:
    return load_plugins()


@pytest.fixture
def rules(kits: Kits, tmp_path: Path) -> SiteRules:
    kit = load_kit(kits.client("site-1"), Role.CLIENT, now=datetime.now(UTC))
    known = rules_of(kit)
    versions = VersionMemory(tmp_path / "versions.json")
    return SiteRules(
        known.site,
        known.trust_root,
        known.revocations,
        known.authorization,
        known.policy,
        versions,
    )


def sign(root: Path, kits: Kits, version: int = 1, **more: Any) -> Path:
    return sign_mmar(root, signer_of(kits.admin(LEAD)), version=version, **more)


def admitted(
    source: Path, plugins: LoadedPlugins, rules: SiteRules, store: Path, **changes: Any
) -> Admission:
    options: dict[str, Any] = {"origin": "local", "now": datetime.now(UTC), **changes}
    return admit(source, plugins.registry, rules, MmarStore(store), **options)


def test_what_is_accepted_is_a_read_only_copy_and_its_version_is_remembered(
    kits: Kits, plugins: LoadedPlugins, rules: SiteRules, tmp_path: Path
) -> None:
    source = sign(MmarBuilder("job").write(tmp_path), kits, 4)
    found = admitted(source, plugins, rules, tmp_path / "store")
    assert found.decision.accepted
    assert found.validation.report.valid
    assert found.signers == (LEAD,)
    assert found.root == tmp_path / "store" / found.digest / "job"
    assert rules.versions.known() == {("demo", "job"): SeenVersion(4, found.digest)}


def test_another_mmar_of_an_accepted_version_may_run_until_one_is_signed_with_a_higher(
    kits: Kits, plugins: LoadedPlugins, rules: SiteRules, tmp_path: Path
) -> None:
    source = sign(MmarBuilder("job").write(tmp_path / "one"), kits, 4)
    other = sign(MmarBuilder("job").server(num_rounds=9).write(tmp_path / "two"), kits, 4)
    for folder in (source, other, source):
        assert admitted(folder, plugins, rules, tmp_path / "store").decision.accepted
    higher = admitted(sign(other, kits, 5), plugins, rules, tmp_path / "store")
    assert higher.decision.accepted
    assert rules.versions.known() == {("demo", "job"): SeenVersion(5, higher.digest)}
    again = admitted(source, plugins, rules, tmp_path / "store")
    assert [s.reason for s in again.decision.steps if not s.accepted] == ["VERSION_ROLLBACK"]


def test_an_mmar_is_judged_as_the_client_that_will_run_it_sees_it(
    kits: Kits, plugins: LoadedPlugins, rules: SiteRules, tmp_path: Path
) -> None:
    builder = MmarBuilder("job").trainer("EchoTrainer", data="/data/{CLIENT_NAME}/scans")
    source = sign(builder.write(tmp_path), kits)
    rules = replace(rules, policy=SitePolicy(data_folders=("/data/site-1",)))

    def refusals(client_name: str | None) -> list[tuple[str, str]]:
        found = admitted(source, plugins, rules, tmp_path / "store", client_name=client_name)
        return [(step.reason, step.message) for step in found.decision.refusals]

    assert refusals(None) == refusals("site-1") == []
    ((reason, message),) = refusals("site-1_2")
    assert reason == "PATH_ARGUMENT"
    assert "/data/site-1_2/scans" in message


def test_the_version_of_what_is_not_valid_is_not_remembered(
    kits: Kits, plugins: LoadedPlugins, rules: SiteRules, tmp_path: Path
) -> None:
    source = sign(MmarBuilder("job").trainer("NoSuchTrainer").write(tmp_path), kits)
    found = admitted(source, plugins, rules, tmp_path / "store")
    assert not found.validation.report.valid
    assert rules.versions.known() == {}


def test_what_changes_between_the_look_and_the_use_changes_nothing(
    kits: Kits, plugins: LoadedPlugins, rules: SiteRules, tmp_path: Path
) -> None:
    source = sign(MmarBuilder("job").write(tmp_path), kits)
    found = admitted(source, plugins, rules, tmp_path / "store")
    (source / "config" / "config_fed_client.json").write_text("evil")
    assert list_files(open_folder(found.root, Findings())).digest == found.digest


@pytest.mark.parametrize("origin", ["local", "delivered"])
def test_of_what_is_refused_no_copy_stays(
    origin: str, plugins: LoadedPlugins, rules: SiteRules, tmp_path: Path
) -> None:
    source = MmarBuilder("job").write(tmp_path)
    found = admitted(source, plugins, rules, tmp_path / "store", origin=origin)
    assert not found.decision.accepted
    assert not found.root.exists()


def test_a_look_that_fails_leaves_nothing_of_what_was_delivered(
    kits: Kits,
    plugins: LoadedPlugins,
    rules: SiteRules,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = sign(MmarBuilder("job").write(tmp_path), kits)

    def fail(*_: Any, **__: Any) -> None:
        raise MmarUnreadableError("it cannot be read")

    monkeypatch.setattr(examination, "validate", fail)
    with pytest.raises(MmarUnreadableError):
        admitted(source, plugins, rules, tmp_path / "store", origin="delivered")
    assert list((tmp_path / "store").glob("[!.]*")) == []


def test_a_link_that_leaves_the_folder_is_refused(
    plugins: LoadedPlugins, rules: SiteRules, tmp_path: Path
) -> None:
    source = MmarBuilder("job").write(tmp_path)
    (source / "models").mkdir()
    (source / "models" / "start.safetensors").symlink_to("/etc/passwd")
    with pytest.raises(MmarError) as refused:
        admitted(source, plugins, rules, tmp_path / "store")
    assert refused.value.reason == "UNSAFE_ENTRY"
    assert not (tmp_path / "store").exists()


def test_every_site_is_decided_about_in_advance(
    kits: Kits, plugins: LoadedPlugins, tmp_path: Path
) -> None:
    server = rules_of(load_kit(kits.server, Role.SERVER, now=datetime.now(UTC)))
    source = sign(MmarBuilder("job").file("custom/mine.py", "x = 1\n").write(tmp_path), kits)
    found = admitted(source, plugins, server, tmp_path / "store")
    decisions = decide_for_sites(found, server.authorization)
    assert sorted(decisions) == ["site-1", "site-2"]
    for decision in decisions.values():
        assert [step.reason for step in decision.refusals] == ["BYOC_NOT_ALLOWED"]


def test_a_further_signature_that_does_not_count_keeps_nobody_out(
    kits: Kits, plugins: LoadedPlugins, tmp_path: Path
) -> None:
    """The server says of a site what the site says itself: so many signers need the right."""
    server = rules_of(load_kit(kits.server, Role.SERVER, now=datetime.now(UTC)))
    source = sign(MmarBuilder("job").write(tmp_path), kits)
    found = admitted(source, plugins, server, tmp_path / "store")
    both = replace(found, signers=(LEAD, "nobody@example.org"))
    decisions = decide_for_sites(both, server.authorization)
    assert all(decision.accepted for decision in decisions.values())


def test_a_site_is_only_counted_on_if_the_signers_may_train_there(
    kits: Kits, plugins: LoadedPlugins, tmp_path: Path
) -> None:
    server = rules_of(load_kit(kits.server, Role.SERVER, now=datetime.now(UTC)))
    rights = {"upload_mmar": True, "deploy_all": True, "train_all": False}
    groups = {
        name: replace(group, role_rights={"lead": rights})
        for name, group in server.authorization.groups.items()
    }
    users = {LEAD: replace(server.authorization.users[LEAD], roles=("lead",))}
    project = replace(server.authorization, groups=groups, users=users)
    source = sign(MmarBuilder("job").write(tmp_path), kits)
    found = admitted(source, plugins, server, tmp_path / "store")
    for decision in decide_for_sites(found, project).values():
        assert [step.rule for step in decision.refusals] == ["authorization.train"]


def test_an_mmar_that_is_not_meant_for_a_site_is_not_deployed_there(
    kits: Kits, plugins: LoadedPlugins, tmp_path: Path
) -> None:
    server = rules_of(load_kit(kits.server, Role.SERVER, now=datetime.now(UTC)))
    source = sign(MmarBuilder("job").write(tmp_path), kits, audience=("site-2",))
    found = admitted(source, plugins, server, tmp_path / "store")
    decisions = decide_for_sites(found, server.authorization)
    assert [step.reason for step in decisions["site-1"].refusals] == ["WRONG_AUDIENCE"]
    assert decisions["site-2"].accepted
