# SPDX-License-Identifier: Apache-2.0
"""What ``provision`` says is what it did."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mmar_runner.cli.commands.provision import command
from mmar_runner.security.identity import Identity, Role
from mmar_runner.security.pki.envelope import key_id
from mmar_runner.security.pki.keys import load_tls_key
from mmar_runner.security.provisioning import calls
from mmar_runner.security.provisioning.own_keys import make_own_keys

PROJECT = """\
name: lungs
server: {org: university, cn: localhost}
fl_clients:
  - {org: north, client_name: site-1, own_keys: true}
"""


def test_the_fingerprints_that_are_told_are_those_that_were_certified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody may replace the request between a look at it and a second one."""
    project, out = tmp_path / "project.yml", tmp_path / "kits"
    project.write_text(PROJECT)
    calls.provision(project, out, now=datetime.now(UTC))
    who = Identity("lungs", Role.CLIENT, "site-1")
    shown, certified = (make_own_keys(who, tmp_path / name) for name in ("a", "b"))
    sign = calls.sign_request

    def replaced(*arguments: Any, **options: Any) -> Any:
        shown.write_bytes(certified.read_bytes())
        return sign(*arguments, **options)

    monkeypatch.setattr(calls, "sign_request", replaced)
    arguments = ["sign", str(project), str(shown), "--out", str(out)]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)

    key = load_tls_key(certified.with_name("client.key")).public_key()
    (line,) = (line for line in result.output.splitlines() if line.startswith("key of site-1"))
    assert line.rpartition(" ")[2].replace(":", "").lower() == key_id(key)
