# SPDX-License-Identifier: Apache-2.0
"""The server's own copy of an MMAR."""

from __future__ import annotations

import stat

from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.folder import open_folder
from mmar_runner.mmar.manifest import list_files
from mmar_runner.server.records.workspace import RunFolder


def test_the_copy_of_an_mmar_has_its_digest_and_is_read_only(tmp_path):
    job = tmp_path / "job"
    files = ("config/a.json", "models/start.pt", ".hidden/x.txt", "custom/own.py", "signature.json")
    for name in files:
        (job / name).parent.mkdir(parents=True, exist_ok=True)
        (job / name).write_text(name)
    (job / "again").symlink_to("custom")
    run = RunFolder(tmp_path / "run_1", 1)

    run.create(job)

    copy = list_files(open_folder(run.mmar, Findings()))
    assert copy.digest == list_files(open_folder(job, Findings())).digest
    assert sorted(str(p.relative_to(run.mmar)) for p in run.mmar.rglob("*") if p.is_file()) == (
        sorted(files)
    )
    assert all(stat.S_IMODE((run.mmar / name).stat().st_mode) == 0o444 for name in files)
