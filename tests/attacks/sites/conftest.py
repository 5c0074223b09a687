# SPDX-License-Identifier: Apache-2.0
"""Hospitals with start-up kits, MMARs that are sent to them, and a server that lies.

Everything that is attacked is a real process of the command line. A test works on copies
of the kits, so that what one site remembers is nobody else's.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.folder import open_folder
from mmar_runner.mmar.manifest import list_files
from mmar_runner.security.audit.reading import read_audit
from mmar_runner.security.signatures.signing import Signer
from mmar_runner.security.signatures.version_memory import VersionMemory
from mmar_runner.storage.journal_reading import read_events
from mmar_runner.testing.kits import Kits, make_kits
from mmar_runner.testing.processes import RunningProgram
from tests import signed_mmars

ECHO = Path(__file__).parents[3] / "mmars" / "echo"
LEAD, SECOND = "lead@uni.org", "second@clinic.org"
SITES = ("site-1", "site-2", "site-3", "site-4")
#: site-2 is the strict one: its organisation lets no code in.
ORGS = {"server": "uni", "site-1": "uni", "site-2": "strict", "site-3": "uni", "site-4": "uni"}
RIGHTS = dict.fromkeys(("upload_mmar", "deploy_all", "train_all", "view_all", "operate_all"), True)
VARIABLES = {"NUM_ROUNDS": 2, "MIN_NUM_CLIENTS": 2, "MODEL_MB": 0.01}


def authorization(*, code_at_server: bool = True) -> dict[str, Any]:
    """Return a policy in which code may run everywhere but at the strict site."""
    rules = {"allow_byoc": code_at_server, "allow_custom_datalist": True}
    return {
        "version": "1.0",
        "roles": {"lead": "leads"},
        "groups": {
            "open": {"desc": "", "rules": rules, "role_rights": {"lead": RIGHTS}},
            "closed": {
                "desc": "",
                "rules": {"allow_byoc": False},
                "role_rights": {"lead": RIGHTS},
            },
        },
        "users": {
            LEAD: {"org": "uni", "roles": ["lead"]},
            SECOND: {"org": "strict", "roles": ["lead"]},
        },
        "orgs": {"uni": ["open"], "strict": ["closed"]},
        "sites": {"server": "uni", **{site: ORGS[site] for site in SITES}},
    }


@dataclass(frozen=True)
class Ended:
    """What a command that has ended left behind."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> dict[str, Any]:
        """The error that ``--json`` prints."""
        return dict(self.answer["error"])

    @property
    def answer(self) -> dict[str, Any]:
        return dict(json.loads(self.out))


def command(*arguments: object, cwd: Path | None = None, timeout: float = 40) -> Ended:
    """Run one command of the runner to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "mmar_runner", *map(str, arguments)],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Ended(done.returncode, done.stdout, done.stderr)


class KitServer(RunningProgram):
    """``run-server --kit`` on a free port of loopback."""

    def __init__(self, hospital: Hospital, mmar: Path, *options: str) -> None:
        self.workspace = hospital.folder / "server-ws"
        arguments = ["run-server", str(mmar), "--kit", str(hospital.server)]
        arguments += ["--workspace", str(self.workspace), "--listen", "127.0.0.1:0"]
        arguments += ["--seed", "7", "--durability", "process", *hospital.settings(), *options]
        super().__init__(arguments, folder=hospital.folder, label="server")

    def address(self) -> str:
        endpoint = self.workspace / "endpoint.json"
        self._until(endpoint.exists, "no endpoint.json", 40)
        return f"localhost:{json.loads(endpoint.read_text())['listen'].rpartition(':')[2]}"

    def until_recorded(self, kind: str, **facts: Any) -> None:
        """Wait for an event in the journal: what was observed may not be there yet."""
        journal = self.workspace / "run_1" / "journal.db"

        def recorded() -> bool:
            events = read_events(journal) if journal.exists() else []
            return any(e.kind == kind and facts.items() <= e.data.items() for e in events)

        self._until(recorded, f"no {kind} {facts} on record", 40)

    def hashes(self) -> list[str]:
        summary = json.loads((self.workspace / "run_1" / "summary.json").read_bytes())
        assert summary["status"] == "finished"
        return [entry["model_sha256"] for entry in summary["rounds"]]


class KitClient(RunningProgram):
    """``run-client --kit`` of one site, with its own MMAR or the delivered one."""

    def __init__(
        self, hospital: Hospital, site: str, server: str, mmar: Path | None, *options: str
    ) -> None:
        self.workspace = hospital.workspace(site)
        arguments = hospital.client_arguments(site, mmar, server)
        super().__init__(
            [*arguments, *options], folder=hospital.folder, label=f"{site}-{os.urandom(3).hex()}"
        )

    @property
    def reason(self) -> str:
        """The id of the error that it ended with."""
        said = self.stdout  # progress, line by line, and then the answer
        return str(json.loads(said[f"\n{said}".rindex("\n{\n") :])["error"]["reason"])


class Hospital:
    """The project's kits, copied for one test, and what is done with them."""

    def __init__(self, folder: Path, provisioned: Path) -> None:
        self.folder = folder
        self.kits = Kits(provisioned / "project.yml", folder / "kits")
        shutil.copytree(provisioned / "kits", self.kits.out)
        self.server = self.kits.server
        self.canary = folder / "canary"
        self.variables: dict[str, Any] = dict(VARIABLES)

    def settings(self) -> list[str]:
        return [part for k, v in self.variables.items() for part in ("--set", f"{k}={v}")]

    def kit(self, name: str) -> Path:
        return self.kits.out / name

    def workspace(self, site: str) -> Path:
        return self.folder / "ws" / site

    def client_arguments(self, site: str, mmar: Path | None, server: str) -> list[str]:
        named = [] if mmar is None else [str(mmar)]
        where = ["--workspace", str(self.folder / "ws"), "--server", server]
        kit = ["--kit", str(self.kit(site))]
        return ["run-client", *named, *kit, *where, *self.settings(), "--json"]

    # -- MMARs ---------------------------------------------------------------------------

    def mmar(self, name: str = "echo", *, code: str | None = None, sign: bool = True) -> Path:
        """Write the echo MMAR, with a file of code that would make the canary if it ran."""
        root = self.folder / "mmars" / name
        shutil.copytree(ECHO, root, ignore=shutil.ignore_patterns("__pycache__"))
        if code is not None:
            self.plant(root, code)
        if sign:
            self.sign(root)
        return root

    def plant(self, root: Path, file: str) -> None:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"import pathlib; pathlib.Path({str(self.canary)!r}).touch()\n")

    def signer(self, who: str = LEAD) -> Signer:
        return signed_mmars.signer_of(self.kit(who))

    def sign(self, root: Path, who: str = LEAD, *, add: bool = False, **terms: Any) -> bytes:
        """Sign an MMAR as `sign-mmar` does, and return the envelope."""
        signed_mmars.sign(root, self.signer(who), add=add, **terms)
        return (root / "signature.json").read_bytes()

    def digest(self, root: Path) -> str:
        return list_files(open_folder(root, Findings())).digest

    def edit(self, root: Path, file: str, **changes: Any) -> None:
        path = root / "config" / file
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    # -- sites ---------------------------------------------------------------------------

    def policy(self, site: str, **rules: Any) -> Path:
        path = self.kit(site) / "site_policy.json"
        path.write_text(json.dumps({"version": 1, **rules}))
        return path

    def command(self, *arguments: object) -> Ended:
        return command(*arguments, cwd=self.folder)

    def memory(self, name: str) -> dict[str, bytes]:
        """Return everything that a participant keeps, but locks."""
        kit = self.kit(name)
        files = (p for p in kit.rglob("*") if p.is_file() and p.suffix != ".lock")
        return {p.relative_to(kit).as_posix(): p.read_bytes() for p in files}

    def versions(self, name: str) -> Any:
        known = VersionMemory(self.kit(name) / "state" / "versions.json").known()
        found: dict[str, dict[str, int]] = {}
        for (project, mmar), seen in known.items():
            found.setdefault(project, {})[mmar] = seen.version
        return found

    def client(self, site: str, server: str, mmar: Path | None = None, *options: str) -> KitClient:
        return KitClient(self, site, server, mmar, *options)

    def start_server(self, mmar: Path, *options: str) -> KitServer:
        return KitServer(self, mmar, *options)

    def run_client(self, site: str, mmar: Path | None, server: str = "localhost:1") -> Ended:
        """Run a client that is not expected to get as far as its server."""
        options = ("--connect-timeout", "1")
        return command(*self.client_arguments(site, mmar, server), *options, cwd=self.folder)

    def refused(self, site: str, mmar: Path, reason: str) -> dict[str, Any]:
        """Let a site refuse its own folder; nothing ran, changed or was written elsewhere."""
        before, outside = self.memory(site), self.tree()
        lines = len(self.decisions(site))
        ended = self.run_client(site, mmar)
        assert (ended.code, ended.error["reason"]) == (1, reason), (ended.out, ended.err)
        assert self.memory(site) == before
        assert self.tree() == outside
        assert not self.canary.exists()
        assert self.decisions(site)[lines:] == [("refused", reason)]
        return ended.error

    def accepted(self, site: str, mmar: Path) -> None:
        """Let a site accept its own folder: it gets as far as calling its server."""
        ended = self.run_client(site, mmar)
        assert ended.error["reason"] == "UNREACHABLE", (ended.out, ended.err)
        assert self.decisions(site)[-1] == ("accepted", "")

    def audited(self, workspace: Path) -> list[dict[str, Any]]:
        """Return the lines of a workspace's audit log, whose chain is checked."""
        return list(read_audit(workspace / "audit.jsonl"))

    def decisions(self, site: str) -> list[tuple[str, str]]:
        """Return what a site decided about MMARs, line by line of its audit log."""
        workspace = self.workspace(site)
        lines = self.audited(workspace) if (workspace / "audit.jsonl").exists() else []
        return [(line["decision"], line["reason"]) for line in lines if line["action"] == RUN]

    def tree(self) -> dict[str, bytes]:
        """Return all that lies in the test's folder, but in workspaces and locks."""
        inside = {"ws", "server-ws"}
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in self.folder.rglob("*")
            if path.relative_to(self.folder).parts[0] not in inside
            and path.is_file()
            and path.suffix not in {".lock", ".out", ".err", ".pyc"}
        }

    def federation(self, mmar: Path, sites: tuple[str, ...], *options: str) -> list[str]:
        """Run a federation of honest sites to its end and return the models' hashes."""
        with self.start_server(mmar, *options) as server:
            address = server.address()
            clients = [self.client(site, address) for site in sites]
            assert [client.wait() for client in clients] == [0] * len(clients)
            assert server.wait() == 0, server.stderr
            return server.hashes()


RUN = "mmar.run"


@pytest.fixture(scope="session")
def provisioned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    make_kits(
        folder,
        clients=SITES,
        admins=(LEAD, SECOND),
        project="heart",
        orgs={**ORGS, LEAD: "uni", SECOND: "strict"},
        authorization=authorization(),
    )
    return folder


@pytest.fixture
def hospital(tmp_path: Path, provisioned: Path) -> Hospital:
    return Hospital(tmp_path, provisioned)


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory, provisioned: Path) -> list[str]:
    """Return the models' hashes of a run of site-1 and site-3 that nobody disturbs."""
    quiet = Hospital(tmp_path_factory.mktemp("calm"), provisioned)
    return quiet.federation(quiet.mmar(), ("site-1", "site-3"))


@pytest.fixture(scope="session")
def other_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    """Another project with sites of the same names."""
    folder = tmp_path_factory.mktemp("lung")
    make_kits(
        folder,
        clients=SITES,
        admins=(LEAD, SECOND),
        project="lung",
        orgs=ORGS,
        authorization=authorization(),
    )
    return Hospital(tmp_path_factory.mktemp("lung-copy"), folder)
