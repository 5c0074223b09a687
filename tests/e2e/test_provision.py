# SPDX-License-Identifier: Apache-2.0
"""``provision`` as people call it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mmar_runner.errors import KitError
from mmar_runner.security.identity import Role
from mmar_runner.security.kits.files import KIT_FILES
from mmar_runner.security.kits.kit import load_kit

LEAD = "lead@example.org"
PROJECT = f"""\
name: lungs
server: {{org: university, cn: localhost}}
fl_clients:
  - {{org: north, client_name: site-1}}
  - {{org: south, client_name: site-2, own_keys: true}}
admin_clients:
  - {{org: university, email: {LEAD}}}
"""


@pytest.fixture
def call(tmp_path):
    (tmp_path / "project.yml").write_text(PROJECT)

    def run(*arguments, code=0):
        done = subprocess.run(
            [sys.executable, "-m", "mmar_runner", "provision", *map(str, arguments)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done

    return run


def told(done):
    return {entry["name"]: entry["change"] for entry in json.loads(done.stdout)["outcomes"]}


def openssl(*arguments):
    return subprocess.run(
        ["openssl", *map(str, arguments)], capture_output=True, text=True, check=False
    )


needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl is not installed"
)


def verified(kit, certificate, purpose, *more):
    return openssl(
        *("verify", "-x509_strict", "-CAfile", kit / "rootCA.pem", "-purpose", purpose),
        *(*more, kit / certificate),
    ).returncode


def test_a_project_becomes_kits(call, tmp_path):
    done = call("project.yml", "--out", "kits")

    assert [line.split()[:2] for line in done.stdout.splitlines()[1:5]] == [
        ["server", "localhost"],
        ["client", "site-1"],
        ["client", "site-2"],
        ["admin", LEAD],
    ]
    for name, role in (("localhost", Role.SERVER), ("site-1", Role.CLIENT), (LEAD, Role.ADMIN)):
        folder = tmp_path / "kits" / name
        kit = load_kit(folder, role, now=datetime.now(UTC))
        assert kit.identity.uri == f"spiffe://lungs/{role}/{name}"
        expected = {*KIT_FILES[role].required, "readme.txt", "state"}
        expected |= {KIT_FILES[role].policy} - {None}
        assert {path.name for path in folder.iterdir()} == expected
        assert {p.stat().st_mode & 0o777 for p in folder.glob("*.key")} == {0o600}
    assert not (tmp_path / "kits" / "site-2").exists()


@needs_openssl
def test_another_program_finds_the_certificates_good(call, tmp_path):
    call("project.yml", "--out", "kits")
    server, client = tmp_path / "kits" / "localhost", tmp_path / "kits" / "site-1"

    assert verified(server, "server.crt", "sslserver", "-verify_hostname", "localhost") == 0
    assert verified(server, "server.crt", "sslserver", "-verify_ip", "127.0.0.1") == 0
    assert verified(client, "client.crt", "sslclient") == 0


@needs_openssl
def test_another_program_finds_wrong_uses_bad(call, tmp_path):
    call("project.yml", "--out", "kits")
    call("project.yml", "--out", "others")
    server, client = tmp_path / "kits" / "localhost", tmp_path / "kits" / "site-1"

    assert verified(server, "server.crt", "sslserver", "-verify_hostname", "example.org") != 0
    # A server calls itself to ask for its health; whatever else it calls, the gate refuses (ROLE).
    assert verified(server, "server.crt", "sslclient") == 0
    assert verified(client, "client.crt", "sslserver") != 0
    shutil.copy(tmp_path / "others" / "site-1" / "rootCA.pem", client)
    assert verified(client, "client.crt", "sslclient") != 0


def test_two_runs_never_share_a_key_and_no_kit_has_the_authoritys(call, tmp_path):
    call("project.yml", "--out", "a")
    call("project.yml", "--out", "b")
    keys = [path.read_bytes() for out in "ab" for path in (tmp_path / out).rglob("*.key")]
    kits = [path for path in (tmp_path / "a").rglob("*") if path.parent.name != "authority"]
    root = (tmp_path / "a" / "authority" / "root.key").read_bytes()

    assert len(keys) == len(set(keys)) == 10
    assert not [path for path in kits if path.is_file() and root in path.read_bytes()]


def test_a_changed_configuration_is_refused_by_name(call, tmp_path):
    call("project.yml", "--out", "kits")
    folder = tmp_path / "kits" / "site-1"
    path = folder / "fed_client.json"
    path.write_text(path.read_text().replace("localhost", "evil.example"))

    with pytest.raises(KitError, match=r"fed_client\.json is not as") as caught:
        load_kit(folder, Role.CLIENT, now=datetime.now(UTC))
    assert caught.value.reason == "KIT_ALTERED"


def test_fingerprints_are_told_alike_on_both_sides_and_what_to_do_next(call, tmp_path):
    made = call("project.yml", "--out", "kits").stdout
    root = tmp_path / "kits" / "site-1" / "rootCA.pem"
    shown = openssl("x509", "-in", root, "-noout", "-fingerprint", "-sha256").stdout
    assert f"root certificate, sha256 {shown.partition('=')[2].strip()}\n" in made
    readme = root.with_name("readme.txt").read_text()
    assert "openssl x509 -in THIS_FOLDER/rootCA.pem -noout -fingerprint -sha256" in readme

    who = ("--project", "lungs", "--role", "client", "--name", "site-2")
    asked = call("request", *who, "--out", "mine").stdout
    signed = call("sign", "project.yml", "mine/site-2/request.pem", "--out", "kits").stdout
    (told,) = [line for line in asked.splitlines() if line.startswith("key, sha256 ")]
    assert told.replace("key", "key of site-2") in signed.splitlines()
    assert "Send kits/site-2 to its owner" in signed
    assert "holds no private key" in signed


def test_an_administrators_request_tells_both_keys(call):
    who = ("--project", "lungs", "--role", "admin", "--name", LEAD)
    asked = call("request", *who, "--out", "mine").stdout
    keys = json.loads(call("request", *who, "--out", "mine", "--json").stdout)["keys_sha256"]
    lines = [line for line in asked.splitlines() if ", sha256 " in line]
    assert [line.partition(",")[0] for line in lines] == ["key", "release key"]
    assert [line.rpartition(" ")[2].replace(":", "").lower() for line in lines] == keys


def test_a_site_makes_its_own_keys_is_renewed_and_revoked(call, tmp_path):
    call("project.yml", "--out", "kits")
    who = ("--project", "lungs", "--role", "client", "--name", "site-2")
    asked = json.loads(call("request", *who, "--out", "mine", "--json").stdout)["request"]
    signed = call("sign", "project.yml", asked, "--out", "kits", "--json")
    assert told(signed)["site-2"] == "made"
    shutil.copytree(tmp_path / "kits" / "site-2", tmp_path / "mine" / "site-2", dirs_exist_ok=True)
    mine = tmp_path / "mine" / "site-2"
    first = load_kit(mine, Role.CLIENT, now=datetime.now(UTC))

    renewed = call("renew", "project.yml", "site-2", "--out", "kits", "--days", "0.001", "--json")
    assert told(renewed) == {
        "localhost": "unchanged",
        "site-1": "unchanged",
        "site-2": "renewed",
        LEAD: "unchanged",
    }
    shutil.copy(tmp_path / "kits" / "site-2" / "client.crt", mine)
    second = load_kit(mine, Role.CLIENT, now=datetime.now(UTC))
    left = second.certificate.not_after - datetime.now(UTC)
    assert second.certificate.serial != first.certificate.serial
    assert 0 < left.total_seconds() < 87

    revoked = call("revoke", "project.yml", "site-2", "--out", "kits", "--json")
    assert (told(revoked)["site-2"], json.loads(revoked.stdout)["revocations"]) == ("revoked", 2)
    memory = first.revocation_memory()
    assert memory.offer((tmp_path / "kits" / "localhost" / "revocations.json").read_bytes())
    assert memory.current.revokes_certificate(first.certificate.serial)
    assert memory.current.revokes_certificate(second.certificate.serial)


def test_a_release_key_and_an_mmar_are_revoked_by_id(call, tmp_path):
    call("project.yml", "--out", "kits")
    trust = json.loads((tmp_path / "kits" / "localhost" / "trust.json").read_text())
    key = trust["release_keys"][0]["id"]
    call("revoke", "project.yml", "--out", "kits", "--key", key, "--digest", "b" * 64)
    kit = load_kit(tmp_path / "kits" / "localhost", Role.SERVER, now=datetime.now(UTC))
    found = kit.revocation_memory().current

    assert found.revokes_key(key)
    assert found.revokes_digest("b" * 64)
    assert found.serials == ()


def test_every_fault_of_a_project_comes_at_once(call, tmp_path):
    (tmp_path / "project.yml").write_text("name: x\nserver: {cn: localhost, cnn: a}\n")
    done = call("project.yml", "--out", "kits", code=2)

    assert "project.yml:2:9 /server: 'org' is missing" in done.stderr
    assert "project.yml:2:25 /server/cnn: 'cnn' is unknown here. Did you mean 'cn'?" in done.stderr
    assert not (tmp_path / "kits").exists()


def test_an_error_is_json_when_results_are(call, tmp_path):
    done = call("revoke", "project.yml", "site-9", "--out", "kits", "--json", code=2)

    assert json.loads(done.stdout)["error"]["reason"] == "NOT_FOUND"


@pytest.mark.parametrize(
    "arguments",
    [
        ("project.yml",),
        ("none.yml", "--out", "kits"),
        ("project.yml", "--out", "kits", "--days", "0"),
        ("request", "--project", "p", "--role", "king", "--name", "x", "--out", "mine"),
        (),
    ],
    ids=["no-out", "no-file", "no-days", "no-role", "nothing"],
)
def test_a_wrong_call_makes_nothing(call, tmp_path, arguments):
    call(*arguments, code=2)

    assert [path.name for path in tmp_path.iterdir()] == ["project.yml"]


def test_a_real_project_file_works_unchanged(call, tmp_path):
    path = Path(os.environ.get("MMAR_CORPUS", "no-such-folder"))
    if not (path / "project.yml").is_file():
        pytest.skip("MMAR_CORPUS names no folder with a project.yml")
    done = call(
        *("--out", "kits", path / "project.yml"),
        *("--authorization", path / "authorization.json"),
    )

    assert "homomorphic encryption is not part of this version" in done.stderr
    for name in ("client1", "client2", "client3", "client4"):
        kit = load_kit(tmp_path / "kits" / name, Role.CLIENT, now=datetime.now(UTC))
        assert len(kit.trust_root.release_keys) == 4
        assert kit.authorization.read_bytes() == (path / "authorization.json").read_bytes()


def test_no_help_and_no_other_command_imports_cryptography():
    code = (
        "import sys\nfrom mmar_runner.cli.main import main\n"
        "try:\n    main(['provision', 'make', '--help'])\n"
        "except SystemExit:\n    sys.exit('cryptography' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)

    assert done.returncode == 0
