# SPDX-License-Identifier: Apache-2.0
"""What is changed between the check and the use: the verified copy runs, and nothing else."""

from __future__ import annotations

import json

from mmar_runner.interfaces.observer import Topic


def test_a_folder_that_changes_after_the_start_changes_nothing(hospital, calm):
    mmar = hospital.mmar()
    with hospital.start_server(mmar) as server:
        address = server.address()
        clients = [hospital.client("site-1", address, mmar)]
        server.wait_for(Topic.CLIENT_JOINED)
        hospital.plant(mmar, "custom/nets.py")
        hospital.edit(mmar, "config_fed_client.json", client_trainer={"path": "os.system"})
        (mmar / "signature.json").write_text("{}")
        clients.append(hospital.client("site-3", address))
        assert [client.wait() for client in clients] == [0, 0]
        assert server.wait() == 0, server.stderr
        assert server.hashes() == calm
    assert not hospital.canary.exists()


def test_an_entry_of_the_store_that_was_altered_is_replaced_before_it_runs(hospital):
    mmar = hospital.mmar()
    hospital.accepted("site-1", mmar)
    kept = hospital.workspace("site-1") / "store" / hospital.digest(mmar) / "echo"
    path = kept / "config" / "config_fed_client.json"
    honest = path.read_bytes()
    path.chmod(0o644)
    path.write_text(json.dumps({**json.loads(honest), "client_trainer": {"path": "os.system"}}))
    hospital.accepted("site-1", mmar)
    assert path.read_bytes() == honest


def test_a_decision_that_cannot_be_written_down_is_not_carried_out(hospital):
    mmar = hospital.mmar()
    workspace = hospital.workspace("site-1")
    workspace.mkdir(parents=True)
    (workspace / "audit.jsonl").symlink_to("/dev/full")
    ended = hospital.run_client("site-1", mmar)
    assert (ended.code, ended.error["reason"]) == (1, "AUDIT_WRITE")
    (workspace / "audit.jsonl").unlink()
    hospital.accepted("site-1", mmar)


def test_a_log_that_was_cut_off_lets_nothing_run(hospital):
    mmar = hospital.mmar()
    hospital.accepted("site-1", mmar)
    log = hospital.workspace("site-1") / "audit.jsonl"
    log.write_bytes(b"")
    ended = hospital.run_client("site-1", mmar)
    assert (ended.code, ended.error["reason"]) == (1, "AUDIT_TRUNCATED")


def test_a_log_that_was_removed_lets_nothing_run(hospital):
    mmar = hospital.mmar()
    hospital.accepted("site-1", mmar)
    (hospital.workspace("site-1") / "audit.jsonl").unlink()
    ended = hospital.run_client("site-1", mmar)
    assert (ended.code, ended.error["reason"]) == (1, "AUDIT_TRUNCATED")


def test_copies_that_nobody_runs_do_not_fill_the_disk(hospital):
    """Whoever may have MMARs signed could else fill it by changing a large one again and again."""
    mmar = hospital.mmar()
    for noise in (0.1, 0.2):
        hospital.edit(mmar, "environment.json", NOISE=noise)
        hospital.sign(mmar, version=int(10 * noise))
        hospital.accepted("site-1", mmar)
    accepted = hospital.digest(mmar)
    hospital.edit(mmar, "environment.json", NOISE=0.3)
    hospital.refused("site-1", mmar, "MANIFEST_MISMATCH")
    kept = (hospital.workspace("site-1") / "store").glob("[!.]*")
    assert [folder.name for folder in kept] == [accepted]
