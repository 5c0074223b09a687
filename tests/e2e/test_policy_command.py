# SPDX-License-Identifier: Apache-2.0
"""``policy explain|accept|block`` with provisioned kits, as a person calls them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from mmar_runner.cli.main import main
from mmar_runner.documents.schema_store import load_schema

ROOT = Path(__file__).resolve().parents[2]
AUTHORIZATION = ROOT / "tests" / "assets" / "policies" / "authorization.json"
PROJECT = """
name: study
server: {org: hub, cn: localhost, fed_learn_port: 8002, admin_port: 8003,
         admin_storage: transfer, min_num_clients: 2, max_num_clients: 9}
fl_clients:
  - {org: north, client_name: north-1}
  - {org: north, client_name: north-2}
  - {org: south, client_name: south-1}
  - {org: vault, client_name: vault-1}
admin_clients:
  - {org: hub, email: root@hub.org}
  - {org: north, email: lead@north.org}
  - {org: south, email: res@south.org}
  - {org: vault, email: keeper@vault.org}
"""


@pytest.fixture(scope="module")
def provisioned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("provisioned")
    (folder / "project.yml").write_text(PROJECT)
    command = ["provision", str(folder / "project.yml"), "--out", str(folder / "kits")]
    with pytest.raises(SystemExit) as ended:
        main([*command, "--authorization", str(AUTHORIZATION)])
    assert ended.value.code == 0
    return folder / "kits"


@pytest.fixture
def kits(provisioned, tmp_path):
    return Path(shutil.copytree(provisioned, tmp_path / "kits"))


@pytest.fixture
def mmar(tmp_path):
    folder = Path(shutil.copytree(ROOT / "mmars" / "echo", tmp_path / "echo"))
    shutil.rmtree(folder / "custom", ignore_errors=True)
    return folder


@pytest.fixture
def call(capsys):
    def run(*words):
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        return ended.value.code, capsys.readouterr().out

    return run


@pytest.fixture
def explain(call, mmar):
    def ask(kit, *words):
        code, out = call("policy", "explain", mmar, "--kit", kit, *words, "--json")
        return code, json.loads(out)

    return ask


def refused(answer):
    return [(step["rule"], step["reason"]) for step in answer["steps"] if not step["accepted"]]


@pytest.mark.parametrize("name", ["nobody", "."])
@pytest.mark.parametrize(
    "words",
    [
        *("policy explain MMAR", "policy block 0", "verify-mmar MMAR", "sign-mmar MMAR"),
        *("run-server MMAR", "run-client MMAR"),
    ],
)
def test_a_folder_that_is_no_kit_is_wrong_usage_of_every_command(kits, mmar, call, words, name):
    named = [mmar if word == "MMAR" else word for word in words.split()]

    assert call(*named, "--kit", kits / name)[0] == 2


def test_a_lead_may_and_a_researcher_may_not(kits, explain):
    code, answer = explain(kits / "north-1", "--user", "lead@north.org")
    assert (code, answer["accepted"], answer["site"]) == (0, True, "north-1")
    Draft202012Validator(load_schema("policy_decision")).validate(answer)
    assert set(answer["policy_sha256"]) == {
        str(kits / "north-1" / name) for name in ("authorization.json", "site_policy.json")
    }

    code, answer = explain(kits / "res@south.org", "--site", "north-1")
    assert (code, answer["users"]) == (1, ["res@south.org"])
    assert refused(answer) == [("authorization.deploy", "NOT_AUTHORIZED")]
    Draft202012Validator(load_schema("policy_decision")).validate(answer)


@pytest.mark.parametrize(
    ("file", "wrong"),
    [("config_fed_server", {"ckpt_preload_path": "models/no.safetensors"}), ("config_train", 1)],
    ids=["server", "sites"],
)
def test_every_kit_is_told_that_the_validator_refuses_it(kits, mmar, call, file, wrong):
    (mmar / "config" / "config_train.json").write_text("{}")
    path = mmar / "config" / f"{file}.json"
    broken = {**json.loads(path.read_text()), **wrong} if isinstance(wrong, dict) else wrong
    path.write_text(json.dumps(broken))

    for kit in ("root@hub.org", "north-1", "localhost"):
        code, out = call("policy", "explain", mmar, "--kit", kits / kit, "--user", "root@hub.org")
        assert (code, "The validator refuses it anyway: " in out) == (0, True)


def test_a_site_is_not_told_that_it_lacks_what_the_server_needs(kits, mmar, call):
    path = mmar / "config" / "config_fed_server.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "aggregator": {"name": "Nobodys"}}))
    told = {
        kit: "The validator cannot check all of it" in call("policy", "explain", mmar, *named)[1]
        for kit in ("root@hub.org", "north-1")
        for named in [("--kit", kits / kit, "--user", "root@hub.org")]
    }

    assert told == {"root@hub.org": True, "north-1": False}


def test_whoever_signs_what_the_validator_refuses_is_told_so(kits, mmar, capsys):
    path = mmar / "config" / "config_fed_server.json"
    path.write_text(path.read_text().replace('"aggregator"', '"agregator"'))
    with pytest.raises(SystemExit) as ended:
        main(["sign-mmar", str(mmar), "--kit", str(kits / "root@hub.org"), "--json"])
    out, err = capsys.readouterr()

    assert (ended.value.code, json.loads(out)["valid"]) == (0, False)
    assert (mmar / "signature.json").is_file()
    assert "warning: the validator finds 1 error in what was signed" in err
    assert "'aggregator' is missing" in err


def test_what_is_not_installed_where_it_is_signed_is_no_defect_of_it(kits, mmar, capsys):
    path = mmar / "config" / "config_fed_server.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "handlers": [{"name": "DropInOfTheServer"}]}))
    with pytest.raises(SystemExit) as ended:
        main(["sign-mmar", str(mmar), "--kit", str(kits / "root@hub.org")])
    err = capsys.readouterr().err

    assert ended.value.code == 0
    assert "1 component could not be checked here: No installed plugin offers a handler" in err
    assert "--plugins-dir" in err
    assert "nowhere" not in err
    assert "sign it again" not in err


def test_whoever_signs_what_the_project_refuses_is_told_where_and_why(kits, mmar, capsys):
    """Each site found it out for itself."""
    (mmar / "custom").mkdir()
    (mmar / "custom" / "net.py").write_text("class Net: ...\n")

    def sign(who, *words):
        with pytest.raises(SystemExit) as ended:
            main(["sign-mmar", str(mmar), "--kit", str(kits / who), "--json", *words])
        out, err = capsys.readouterr()
        assert ended.value.code == 0
        return json.loads(out)["refused"], err

    refused, said = sign("root@hub.org")
    assert refused == {"south-1": "BYOC_NOT_ALLOWED"}
    assert "warning: the project's authorization refuses it at south-1: The MMAR contains" in said
    assert "hint: A group of south (closed, usual) would have to say" in said
    refused, said = sign("root@hub.org", "--audience", "north-1")
    assert (refused, said) == ({}, "")


def test_a_signer_who_may_nothing_is_told_so(kits, mmar, call):
    code, out = call("sign-mmar", mmar, "--kit", kits / "keeper@vault.org", "--json")
    assert (code, set(json.loads(out)["refused"].values())) == (0, {"NOT_AUTHORIZED"})


def test_a_researcher_learns_why_the_strict_site_runs_no_code(kits, mmar, call):
    (mmar / "custom").mkdir()
    (mmar / "custom" / "net.py").write_text("class Net: ...\n")
    kit = kits / "lead@north.org"

    for site in ("north-1", "north-2", "server"):
        assert call("policy", "explain", mmar, "--kit", kit, "--site", site)[0] == 0
    code, out = call("policy", "explain", mmar, "--kit", kit, "--site", "south-1")

    assert code == 1
    assert "BYOC_NOT_ALLOWED" in out
    assert "/groups/closed/rules/allow_byoc" in out
    line = next(line for line in out.splitlines() if "/groups/closed" in line)
    number = int(line.split("authorization.json:")[1].split(":")[0])
    text = (kit / "authorization.json").read_text().splitlines()[number - 1]
    assert '"allow_byoc": false' in text
    assert '"allow_byoc": true' in out  # what would change it


def test_a_class_path_is_named_with_its_place_in_the_mmar(kits, mmar, explain):
    path = mmar / "config" / "config_fed_client.json"
    config = json.loads(path.read_text())
    config.setdefault("client", {})["outbound_filters"] = [
        {"path": "os.system", "args": {"command": "../../x"}}
    ]
    path.write_text(json.dumps(config, indent=2))

    code, answer = explain(kits / "north-1", "--user", "lead@north.org")

    assert code == 1
    assert refused(answer) == [
        ("site_policy.allowed_path_prefixes", "COMPONENT_NOT_ALLOWED"),
        ("site_policy.data_folders", "PATH_ARGUMENT"),
    ]
    places = [step["subject"] for step in answer["steps"] if not step["accepted"]]
    assert [place["pointer"] for place in places] == [
        "/client/outbound_filters/0/path",
        "/client/outbound_filters/0/args/command",
    ]
    assert "os.system" in path.read_text().splitlines()[places[0]["line"] - 1]


def test_a_site_is_judged_under_its_own_name(kits, mmar, explain):
    """What `{CLIENT_NAME}` becomes decides whether an argument stays where it may."""
    path = mmar / "config" / "config_fed_client.json"
    config = json.loads(path.read_text())
    config["client_trainer"]["args"]["data"] = "/data/{CLIENT_NAME}/scans"
    path.write_text(json.dumps(config))
    policy = json.dumps({"version": 1, "data_folders": ["/data/north-2"]})
    for site in ("north-1", "north-2"):
        (kits / site / "site_policy.json").write_text(policy)

    _, answer = explain(kits / "north-1", "--user", "lead@north.org")
    (step,) = [step for step in answer["steps"] if not step["accepted"]]
    assert "'/data/north-1/scans'" in step["message"]
    _, answer = explain(kits / "north-2", "--user", "lead@north.org")
    assert refused(answer) == []


def test_running_needs_signatures_and_a_signed_mmar_names_its_users(kits, mmar, explain, call):
    code, answer = explain(kits / "north-1", "--action", "run")
    assert code == 1
    assert ("signature.present", "SIGNATURE_MISSING") in refused(answer)

    assert call("sign-mmar", mmar, "--kit", kits / "lead@north.org")[0] == 0

    code, answer = explain(kits / "north-1", "--action", "run")
    assert (code, answer["users"]) == (0, ["lead@north.org"])
    code, answer = explain(kits / "vault-1", "--action", "run")
    assert {reason for _, reason in refused(answer)} == {"NOT_AUTHORIZED"}

    (mmar / "config" / "more.json").write_text("{}")
    code, answer = explain(kits / "north-1", "--action", "run")
    assert "MANIFEST_MISMATCH" in {reason for _, reason in refused(answer)}


def test_code_is_refused_accepted_by_digest_and_blocked(kits, mmar, explain, call):
    (mmar / "custom").mkdir()
    (mmar / "custom" / "net.py").write_text("class Net: ...\n")
    kit, user = kits / "north-1", ("--user", "lead@north.org")
    digest = explain(kit, *user)[1]["digest"]
    assert refused(explain(kit, *user)[1]) == [("site_policy.byoc", "BYOC_NOT_ALLOWED")]

    code, out = call("policy", "accept", digest, "--kit", kit, "--json")
    assert (code, json.loads(out)["changed"]) == (0, ["byoc", "accepted_digests"])
    assert explain(kit, *user)[0] == 0
    assert explain(kit, "--action", "run")[0] == 0  # its own folder, its own word

    (mmar / "custom" / "net.py").write_text("class Net: pass\n")
    assert ("site_policy.byoc", "DIGEST_NOT_ACCEPTED") in refused(explain(kit, *user)[1])
    (mmar / "custom" / "net.py").write_text("class Net: ...\n")

    assert call("policy", "block", digest, "--kit", kit)[0] == 0
    assert ("site_policy.blocked_digests", "DIGEST_BLOCKED") in refused(explain(kit, *user)[1])


def test_the_command_that_accepts_the_code_is_named_wherever_it_is_refused(kits, mmar, call):
    """Each command had another mend for one refusal."""
    (mmar / "custom").mkdir()
    (mmar / "custom" / "net.py").write_text("class Net: ...\n")
    call("sign-mmar", mmar, "--kit", kits / "lead@north.org")
    kit, other = kits / "north-1", kits / "north-2"
    verify = ("verify-mmar", mmar, "--kit", kit, "--json")
    explain = ("policy", "explain", mmar, "--kit", kit, "--json")
    theirs = (*explain, "--site", "north-2", "--policy", other / "site_policy.json")
    hints = {}
    for name, command in {"verify": verify, "explain": explain, "theirs": theirs}.items():
        code, out = call(*command)
        answer = json.loads(out)
        (step,) = [step for step in answer["steps"] if not step["accepted"]]
        assert (code, step["rule"]) == (1, "site_policy.byoc")
        hints[name] = step["hint"]

    accept = f"policy accept {answer['digest']} --kit"
    assert hints["verify"] == hints["explain"]
    assert f"`mmar-runner {accept} {kit}`" in hints["verify"]
    assert f"`mmar-runner {accept} KIT`" in hints["theirs"]


def test_an_administrator_is_told_whose_kits_can_verify(kits, mmar, capsys):
    """A client's was asked for, and the server's does as well."""
    with pytest.raises(SystemExit) as ended:
        main(["verify-mmar", str(mmar), "--kit", str(kits / "lead@north.org")])
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert "[KIT_ROLE]" in said
    assert "a client's or the server's judges" in said
    assert "`mmar-runner policy explain MMAR --site SITE` takes this one" in said


def test_a_policy_that_is_gone_is_told(kits, mmar, capsys):
    """By the defaults nothing that needs a decision runs; but what was blocked is forgotten."""
    (kits / "north-1" / "site_policy.json").unlink()
    with pytest.raises(SystemExit):
        main(["verify-mmar", str(mmar), "--kit", str(kits / "north-1")])
    assert f"there is no {kits / 'north-1' / 'site_policy.json'}" in capsys.readouterr().err


def test_a_sites_policy_can_be_asked_about_from_another_kit(kits, tmp_path, explain):
    path = tmp_path / "theirs.json"
    digest = explain(kits / "lead@north.org")[1]["digest"]
    path.write_text(json.dumps({"version": 1, "blocked_digests": [digest]}))
    kit = kits / "lead@north.org"

    assert explain(kit, "--site", "south-1")[0] == 0
    code, answer = explain(kit, "--site", "south-1", "--policy", path)

    assert code == 1
    (step,) = [step for step in answer["steps"] if not step["accepted"]]
    assert step["policy"]["file"] == str(path)


def test_what_one_site_asks_for_is_not_said_of_another(kits, mmar, explain, call):
    assert call("sign-mmar", mmar, "--kit", kits / "lead@north.org")[0] == 0
    policy = kits / "north-1" / "site_policy.json"
    policy.write_text(json.dumps({"version": 1, "signatures": {"mmar": 2}}))

    assert refused(explain(kits / "north-1")[1]) == [("signature.threshold", "THRESHOLD")]
    assert refused(explain(kits / "north-1", "--site", "north-2")[1]) == []


def test_what_the_validator_finds_is_said_too(kits, mmar, explain, call):
    assert explain(kits / "north-1", "--user", "lead@north.org")[1]["valid"]
    path = mmar / "config" / "config_fed_client.json"
    path.write_text(path.read_text().replace('"client_trainer"', '"client_trainor"'))

    _, answer = explain(kits / "north-1", "--user", "lead@north.org")
    assert answer["valid"] is False
    _, said = call("policy", "explain", mmar, "--kit", kits / "north-1", "--user", "lead@north.org")
    assert "The validator refuses it anyway: " in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("accept", "abc"), "no digest"),
        (("accept", "0" * 64), "not the start-up kit of a site"),
    ],
)
def test_wrong_words_change_nothing(kits, call, words, says):
    kit = kits / ("north-1" if says == "no digest" else "root@hub.org")
    before = {p.name: p.read_bytes() for p in kit.iterdir() if p.is_file()}

    code, out = call("policy", *words, "--kit", kit, "--json")

    assert code == 2
    assert says in json.loads(out)["error"]["message"]
    assert {p.name: p.read_bytes() for p in kit.iterdir() if p.is_file()} == before


def test_an_altered_authorization_explains_nothing(kits, mmar, call):
    path = kits / "north-1" / "authorization.json"
    path.write_text(path.read_text().replace('"allow_byoc": false', '"allow_byoc": true'))

    code, out = call("policy", "explain", mmar, "--kit", kits / "north-1", "--json")

    assert code == 1
    assert json.loads(out)["error"]["reason"] == "KIT_ALTERED"


def test_explaining_imports_nothing_heavy_and_nothing_that_writes(kits, mmar):
    program = (
        "import sys\n"
        "from mmar_runner.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as ended:\n    code = ended.code\n"
        "unwanted = {'numpy', 'grpc', 'torch', 'mmar_runner.security.audit.log',\n"
        "    'mmar_runner.security.packages.mmar_store'}\n"
        "print(sorted(unwanted & sys.modules.keys()))\n"
        "raise SystemExit(code)\n"
    )
    words = ("policy", "explain", mmar, "--kit", kits / "north-1", "--user", "lead@north.org")
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("[]\n")
