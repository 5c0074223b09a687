# SPDX-License-Identifier: Apache-2.0
"""Commands are code: a signed MMAR without any file of code starts nothing without leave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.sites.conftest import SECOND, Hospital
from tests.attacks.sites.explaining import CLIENT, SERVER

#: A round of training in one line: the model goes back as it came.
TRAINS = (
    "import shutil, sys; shutil.copyfile(*sys.argv[1:]); "
    "open(sys.argv[2] + '-metadata', 'w').write('{\"num_examples\": 1}')"
)


def touching(hospital: Hospital) -> list[str]:
    return ["sh", "-c", f"touch {hospital.canary}"]


def trainer(**args: Any) -> dict[str, Any]:
    return {"client_trainer": {"name": "EntryPointTrainer", "args": args}}


def in_arguments(hospital: Hospital, mmar: Path) -> None:
    hospital.edit(mmar, CLIENT, **trainer(train={"command": touching(hospital)}))


def at_the_start(hospital: Hospital, mmar: Path) -> None:
    command = {"command": ["python3", "-c", TRAINS]}
    args = {"startup": {"command": touching(hospital)}, "train": command}
    hospital.edit(mmar, CLIENT, **trainer(**args))


def as_text(hospital: Hospital, mmar: Path) -> None:
    hospital.edit(mmar, CLIENT, **trainer(train={"command": f"touch {hospital.canary}"}))


def by_a_variable(hospital: Hospital, mmar: Path) -> None:
    hospital.edit(mmar, CLIENT, **trainer(train={"command": ["{PROGRAM}", str(hospital.canary)]}))
    hospital.edit(mmar, "environment.json", PROGRAM="touch")


def in_a_file_of_data(hospital: Hospital, mmar: Path) -> None:
    hospital.edit(mmar, CLIENT, **trainer(entry_points_file="resources/fedn.yaml"))
    file = mmar / "resources" / "fedn.yaml"
    file.write_text(f"entry_points:\n  train:\n    command: touch {hospital.canary}\n")


def in_a_hidden_file(hospital: Hospital, mmar: Path) -> None:
    hospital.edit(mmar, CLIENT, **trainer(entry_points_file=".config.yml"))
    file = mmar / ".config.yml"
    file.write_text(f"entry_points:\n  train:\n    command: touch {hospital.canary}\n")


def to_validate(hospital: Hospital, mmar: Path) -> None:
    validator = {"name": "EntryPointValidator", "args": {}}
    validator["args"] = {"validate": {"command": touching(hospital)}}
    across = {"is_participating": True, "model_validator": validator}
    hospital.edit(mmar, CLIENT, cross_validate=True, cross_site_validation=across)


@pytest.mark.parametrize(
    "spoil",
    [
        in_arguments,
        at_the_start,
        as_text,
        by_a_variable,
        in_a_file_of_data,
        in_a_hidden_file,
        to_validate,
    ],
)
def test_d05_a_command_needs_the_sites_consent_wherever_it_stands(hospital, spoil):
    mmar = hospital.mmar(sign=False)
    spoil(hospital, mmar)
    hospital.sign(mmar)
    error = hospital.refused("site-1", mmar, "BYOC_NOT_ALLOWED")
    assert "code" in error["message"]


def test_d05_the_server_needs_its_own_consent_to_build_the_model(hospital):
    mmar = hospital.mmar(sign=False)
    build = {"name": "EntryPointModel", "args": {"build": {"command": touching(hospital)}}}
    hospital.edit(mmar, SERVER, model_persistor=build)
    hospital.sign(mmar)
    ended = hospital.command("run-server", mmar, "--kit", hospital.server, "--json")
    assert (ended.code, ended.error["reason"]) == (1, "BYOC_NOT_ALLOWED"), ended.err
    assert not hospital.canary.exists()


def test_d05_the_explanation_shows_the_command_and_its_place(hospital):
    mmar = hospital.mmar(sign=False)
    in_arguments(hospital, mmar)
    hospital.sign(mmar)
    kit = hospital.kit("site-1")
    answer = hospital.command("policy", "explain", mmar, "--kit", kit, "--json").answer
    (step,) = [one for one in answer["steps"] if one["reason"] == "BYOC_NOT_ALLOWED"]
    assert f"touch {hospital.canary}" in step["message"]
    assert step["subject"]["file"] == f"config/{CLIENT}"
    assert step["subject"]["pointer"] == "/client_trainer/args/train/command"
    verified = hospital.command("verify-mmar", mmar, "--kit", kit, "--json").answer
    assert verified["byoc"] is True


def test_d12_one_signature_is_not_enough_where_a_site_wants_two_for_code(hospital):
    mmar = hospital.mmar(sign=False)
    in_arguments(hospital, mmar)
    hospital.sign(mmar)
    hospital.policy("site-1", byoc="allow", signatures={"mmar": 1, "byoc": 2})
    hospital.refused("site-1", mmar, "THRESHOLD")
    hospital.sign(mmar, SECOND, add=True)
    hospital.accepted("site-1", mmar)


def test_d05_the_project_says_where_commands_may_run(hospital):
    """The strict organisation lets no code in, whatever its site says."""
    mmar = hospital.mmar(sign=False)
    in_arguments(hospital, mmar)
    hospital.sign(mmar)
    hospital.policy("site-2", byoc="allow")
    error = hospital.refused("site-2", mmar, "BYOC_NOT_ALLOWED")
    assert "custom code" in error["message"]
    assert "strict" in json.dumps(error)


def test_d05_where_the_site_reviewed_it_the_same_command_runs(hospital):
    mmar = hospital.mmar(sign=False)
    at_the_start(hospital, mmar)
    hospital.sign(mmar)
    hospital.policy("site-1", byoc="digest", accepted_digests=[hospital.digest(mmar)])
    hospital.variables["MIN_NUM_CLIENTS"] = 1
    hospital.federation(mmar, ("site-1",))
    assert hospital.canary.exists()
