# SPDX-License-Identifier: Apache-2.0
"""What ``deploy/`` and its page say is what runs: the same processes, with the same arguments."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import shutil
import socket
import subprocess
import sys
import sysconfig
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.children.last_resort import STOP_SECONDS
from mmar_runner.interfaces.observer import Topic
from mmar_runner.testing.processes import RunningProgram
from mmar_runner.wire.methods import ADMIN, FEDERATED_TRAINING
from tests.docs.deployed import DEPLOY, ROOT, Containerfile, Service, Unit

PAGE = ROOT / "docs" / "how-to" / "deploy.md"
FENCE = re.compile(r"^```(\w+)(?: (\w+)(?:=(\S+))?)?\n(.*?)^```", re.MULTILINE | re.DOTALL)
UNITS = sorted(path.name for path in (DEPLOY / "systemd").iterdir())
ROUNDS = 4
LEAD = "lead@university.example"
#: What systemd may say of a unit's exposure at most, of 10; a unit that says nothing has 9.6.
_EXPOSED = 3.5
_SECONDS = 100.0

pytestmark = pytest.mark.timeout(300)


def blocks(language: str, action: str = "") -> list[tuple[str, str]]:
    found = FENCE.findall(PAGE.read_text())
    return [(value, text) for lang, act, value, text in found if (lang, act) == (language, action)]


def program(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mmar_runner", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )


class Process(RunningProgram):
    """One deployed process; its output lies beside the folder that it works in."""

    started = 0

    def __init__(self, words: list[str], folder: Path) -> None:
        Process.started += 1
        super().__init__(words, folder=folder, label=f"deployed-{Process.started}")

    def stopped(self) -> int:
        """Stop it as an engine or systemd does, and return its exit code."""
        self.terminate()
        return self.wait(timeout=STOP_SECONDS + 5)


def asked(words: list[str], folder: Path, *more: str) -> tuple[int, str]:
    done = program(*words, *more, folder=folder)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout.strip()


def waited_for(words: list[str], folder: Path, process: RunningProgram) -> None:
    """Ask again and again, as an engine does, until the answer is that all is well."""
    while asked(words, folder)[0] != 0:
        assert process.process.poll() is None, process.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's project, as its reader makes it; names and ports are this machine's own."""
    folder = tmp_path_factory.mktemp("project")
    [(name, text)] = blocks("yaml", "file")
    text = re.sub(r"cn: (server|combiner)\b", "cn: localhost", text)
    text = re.sub(r"\b800[23]\b", lambda _: str(own_port()), text)
    (folder / name).write_text(text)
    mmar = Path(shutil.copytree(ROOT / "mmars" / "echo", folder / "echo"))
    environment = mmar / "config" / "environment.json"
    facts = json.loads(environment.read_text())
    facts |= {"NUM_ROUNDS": ROUNDS, "MIN_NUM_CLIENTS": 1, "MODEL_MB": 0.05, "SECONDS": 1}
    environment.write_text(json.dumps(facts))
    [made, laid_out] = [text for _, text in blocks("sh")]
    reader(made, folder)
    (folder / "office" / "localhost").rename(folder / "office" / "server")
    reader(laid_out, folder)
    return folder


def own_port() -> int:
    """Return a port that nobody listens on, and none that outgoing connections are given.

    A server is stopped here and comes again: meanwhile nobody may take its place.
    """
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(10_000, lowest)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def reader(script: str, folder: Path) -> None:
    """Do what the page says, in a shell."""
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={"PATH": path, "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def listens(process: RunningProgram) -> bool:
    """Say whether a process, or one of its children, listens to the network."""
    inodes = set()
    for descriptor in Path(f"/proc/{process.process.pid}/fd").iterdir():
        with suppress(OSError):
            inodes.add(str(descriptor.readlink()))
    for table in ("tcp", "tcp6"):
        rows = Path(f"/proc/{process.process.pid}/net/{table}").read_text().splitlines()[1:]
        if any(row.split()[3] == "0A" and f"socket:[{row.split()[9]}]" in inodes for row in rows):
            return True
    return False


def summary(workspace: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((workspace / "run_1" / "summary.json").read_text())
    return facts


# Containers


@pytest.mark.slow
def test_the_compose_example_runs_and_goes_on_after_a_stop(project: Path, tmp_path: Path) -> None:
    """A server, a combiner and a client: commands and health checks as the files have them."""
    image = Containerfile.read()
    assert image.words("ENTRYPOINT") == ["mmar-runner"]
    federation = Path(shutil.copytree(project / "federation", tmp_path / "federation"))
    server, combiner, client = (
        Service(name, federation) for name in ("server", "combiner", "client")
    )
    check = {one.name: one.here(image.health[1:]) for one in (server, combiner)}
    ready = [*check["server"], "--service", FEDERATED_TRAINING]
    assert asked(check["server"], tmp_path) == (1, "")

    def start(service: Service) -> Process:
        return Process(service.here(service.facts["command"]), tmp_path / service.name)

    with start(server) as first, start(combiner) as middle, start(client) as site:
        waited_for(check["server"], tmp_path, first)
        assert asked(ready, tmp_path)[0] == 0
        waited_for(check["combiner"], tmp_path, middle)
        assert asked([*check["combiner"], "--service", FEDERATED_TRAINING], tmp_path)[0] == 0
        assert (listens(first), listens(middle), listens(site)) == (True, True, False)
        first.wait_for(Topic.ROUND_FINISHED, round=0)
        assert middle.stopped() == 3  # no round goes on without it
        assert first.stopped() == 3
        assert asked(check["server"], tmp_path) == (1, "")
        # As its page has it: a copy of the stopped server's folder, put back.
        folder = federation / "server" / "workspace"
        copied = Path(shutil.copytree(folder, tmp_path / "backup", symlinks=True))
        shutil.rmtree(folder)
        copied.rename(folder)
        with start(server) as second:
            waited_for(check["server"], tmp_path, second)
            with start(combiner) as again:
                codes = [one.wait(timeout=_SECONDS) for one in (second, again, site)]
            assert codes == [0, 0, 0], second.stderr + again.stderr + site.stderr
    told = summary(folder)
    assert [told["status"], len(told["rounds"])] == ["finished", ROUNDS]
    for entry in told["rounds"]:
        assert [part["client"] for part in entry["contributions"]] == ["east/site-1"]
    verified = program("audit", "verify", str(folder / "audit.jsonl"), folder=tmp_path)
    assert verified.returncode == 0


def test_the_container_file_keeps_to_what_its_page_says() -> None:
    image = Containerfile.read()
    [*_, user] = image.all("USER")
    assert int(user.partition(":")[0]) > 0, "a number, so that an engine can see who it is not"
    assert image.all("STOPSIGNAL") == ["SIGTERM"]
    assert {"/kit", "/mmar", "/workspace"} == set(image.words("VOLUME"))
    bases = [rest.split()[0] for word, rest in image.instructions if word == "FROM"]
    assert bases == ["docker.io/library/python:3.11-slim"] * 2
    allowed = (DEPLOY / "Containerfile.dockerignore").read_text().splitlines()
    for copied in image.all("COPY", stage=0):
        *sources, _ = copied.split()
        for source in sources:
            assert (ROOT / source).exists()
            assert f"!{source}" in allowed
    assert image.all("COPY") == ["--from=build /opt/mmar-runner /opt/mmar-runner"]
    for plugin in image.plugins:
        assert (ROOT / "plugins" / plugin / "pyproject.toml").exists()
    for name in ("server", "combiner", "client"):
        facts = Service(name, ROOT).facts
        assert int(facts["stop_grace_period"].removesuffix("s")) > STOP_SECONDS
        assert (facts["init"], facts["read_only"], facts["cap_drop"]) == (True, True, ["ALL"])


def third_party(folder: Path) -> Path:
    """Return a folder of links to what this environment has that is not this repository's."""
    folder.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if not path.name.startswith("mmar_runner") and path.suffix != ".pth":
            (folder / path.name).symlink_to(path)
    return folder


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the program of what the build stage makes: its own files, its own commands.

    Third-party packages are those of the environment that runs this test, put behind the
    installed wheels on the path; no index is asked.
    """
    folder = tmp_path_factory.mktemp("image")
    file = Containerfile.read()
    for copied in file.all("COPY", stage=0):
        *sources, target = copied.split()
        for source in sources:
            where = folder / "src" / target
            if (ROOT / source).is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
                shutil.copytree(ROOT / source, where, ignore=ignored)
            else:
                where.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, where)
    _tools, wheels, installed = file.all("RUN", stage=0)
    made = f"{folder}/opt/mmar-runner"
    scripts = [
        wheels.replace("--wheel-dir", "--no-deps --wheel-dir"),
        installed.partition("&& /opt/mmar-runner/bin/python -m pip check")[0],
    ]
    for script in scripts:
        here = script.replace("/opt/mmar-runner", made).replace("/wheels", f"{folder}/wheels")
        done = subprocess.run(
            ["sh", "-euc", here],
            cwd=folder / "src",
            env={
                "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
                "HOME": str(folder),
                "PLUGINS": " ".join(file.plugins),
                "PIP_NO_INDEX": "1",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{here}\n{done.stdout}{done.stderr}"
    [packages] = (folder / "opt" / "mmar-runner" / "lib").glob("python*/site-packages")
    (packages / "third_party.pth").write_text(f"{third_party(folder / 'third')}\n")
    return folder / "opt" / "mmar-runner" / "bin" / "mmar-runner"


@pytest.mark.slow
def test_the_images_program_runs_from_its_wheels(
    image: Path, project: Path, tmp_path: Path
) -> None:
    """Its default is a server that stands: it answers the health check, and ends with 3."""
    file = Containerfile.read()
    wheels = {wheel.name.split("-")[0] for wheel in (image.parents[3] / "wheels").iterdir()}
    assert len(wheels) == 1 + len(file.plugins)
    kit = shutil.copytree(project / "federation" / "server" / "kit", tmp_path / "kit")
    outside = {"/kit": str(kit), "/workspace": str(tmp_path / "workspace")}
    environment = {"PATH": f"{image.parent}:/usr/bin:/bin", "HOME": str(tmp_path)}

    def run(words: list[str]) -> subprocess.Popen[bytes]:
        here = [outside.get(word, word) for word in words]
        with (tmp_path / "log").open("ab") as log:
            return subprocess.Popen(here, cwd=tmp_path, env=environment, stdout=log, stderr=log)

    doctor = run([*file.words("ENTRYPOINT"), "plugins", "doctor"])
    assert doctor.wait(60) == 0, (tmp_path / "log").read_text()
    assert f"{len(file.plugins) + 1} plugins" in (tmp_path / "log").read_text()
    with run([*file.words("ENTRYPOINT"), *file.words("CMD")]) as server:
        try:
            while run(file.health).wait(60) != 0:
                assert server.poll() is None, (tmp_path / "log").read_text()
            server.terminate()
            assert server.wait(STOP_SECONDS + 5) == 3
        finally:
            server.kill()


# systemd


@pytest.fixture
def system(project: Path, tmp_path: Path) -> Path:
    """A scratch folder in place of ``/``, laid out as the page says."""
    root = tmp_path / "system"
    for name in ("server", "east", "site-1"):
        place = root / "var" / "lib" / "mmar-runner" / name
        place.mkdir(parents=True, mode=0o700)
        shutil.copytree(project / "office" / name, place / "kit")
        (place / "kit").chmod(0o700)
    mmars = root / "var" / "lib" / "mmar-runner" / "mmars"
    shutil.copytree(project / "echo", mmars / "echo")
    (root / "etc" / "mmar-runner").mkdir(parents=True)
    return root


def started(unit: Unit) -> Process:
    return Process(unit.command("ExecStart"), unit.path(unit["WorkingDirectory"]))


def one_mmar(system: Path, *names: str) -> None:
    """Have these work on one MMAR: as the page says of its combiner, whose file is its own."""
    [(file, text)] = blocks("text", "file")
    mmar = "MMAR=/var/lib/mmar-runner/mmars/echo"
    assert mmar in text
    for name in names:
        said = text if file == f"{name}.env" else mmar
        (system / "etc" / "mmar-runner" / f"{name}.env").write_text(said)


@pytest.mark.slow
def test_a_standing_server_by_its_unit(system: Path, project: Path) -> None:
    """It answers when systemd is told so, is ready while a run is open, and comes again."""
    one_mmar(system, "east", "site-1")
    unit = Unit("mmar-runner-server.service", system)
    combiner = Unit("mmar-runner-combiner@.service", system, "east")
    site = Unit("mmar-runner-client@.service", system, "site-1")
    kit = unit.path("/var/lib/mmar-runner/server/kit")
    health = ["health", "--kit", str(kit)]
    ready = [*health, "--service", FEDERATED_TRAINING]
    post, folder = unit.command("ExecStartPost"), unit.path(unit["WorkingDirectory"])
    assert post[: len(health)] == health

    def order(*words: str) -> None:
        lead = ("admin", "--kit", f"office/{LEAD}", "--yes")
        done = program(*lead, *words, folder=project)
        assert done.returncode == 0, done.stdout + done.stderr

    with started(unit) as first, ExitStack() as stack:
        assert asked(post, folder)[0] == 0, first.stderr
        assert asked([*health, "--service", ADMIN], folder)[0] == 0
        assert asked(ready, folder)[1].endswith(f"{FEDERATED_TRAINING} is NOT_SERVING")
        order("upload", "echo")
        order("enqueue", "echo", "client")  # who is not there hears of it later
        waited_for(ready, folder, first)
        middle, client = (stack.enter_context(started(one)) for one in (combiner, site))
        first.wait_for(Topic.ROUND_FINISHED, round=0)
        assert (listens(first), listens(client)) == (True, False)
        assert first.stopped() == 3
        assert asked(ready, folder) == (1, "")
        with started(unit) as second:
            assert asked(post, folder)[0] == 0
            second.wait_for(Topic.RUN_ENDED, status="finished", timeout=_SECONDS)
            while asked(ready, folder)[0] == 0:
                assert second.process.poll() is None
            assert asked(health, folder)[0] == 0
            assert [one.wait(timeout=_SECONDS) for one in (middle, client)] == [0, 0]
            assert second.stopped() == 3
    assert len(summary(folder / "workspace")["rounds"]) == ROUNDS


@pytest.mark.slow
def test_a_tree_by_its_units(system: Path) -> None:
    """One MMAR, as the environment files say; the combiner is stopped, and goes on."""
    one_mmar(system, "east", "server", "site-1")
    server = Unit("mmar-runner-server.service", system)
    combiner = Unit("mmar-runner-combiner@.service", system, "east")
    site = Unit("mmar-runner-client@.service", system, "site-1")
    folder = server.path(server["WorkingDirectory"])
    with started(server) as root, started(combiner) as first, started(site) as client:
        assert asked(server.command("ExecStartPost"), folder)[0] == 0, root.stderr
        first.wait_for(Topic.ROUND_FINISHED, round=0)
        assert first.stopped() == 3
        with started(combiner) as second:
            codes = [one.wait(timeout=_SECONDS) for one in (root, second, client)]
            assert codes == [0, 0, 0], root.stderr + second.stderr + client.stderr
    assert [summary(folder / "workspace")["status"]] == ["finished"]


@pytest.mark.parametrize("file", UNITS)
def test_a_unit_stops_in_order_and_starts_again_what_was_killed(file: str, tmp_path: Path) -> None:
    unit = Unit(file, tmp_path, "site-1")
    assert int(unit["TimeoutStopSec"]) > STOP_SECONDS
    assert (unit["KillSignal"], unit["KillMode"]) == ("SIGTERM", "mixed")
    assert unit["Restart"] == "on-failure"
    assert unit["SuccessExitStatus"] == "3"
    assert unit["RestartPreventExitStatus"] == "1 2"
    assert (unit["NoNewPrivileges"], unit["ProtectSystem"]) == ("yes", "strict")
    assert unit["StateDirectoryMode"] == "0700"
    state = f"/var/lib/{unit['StateDirectory']}"
    written = [word for word in unit["ExecStart"].split() if word.startswith("/var/")]
    assert {str(Path(word).parent) for word in written} == {state}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed here")
@pytest.mark.parametrize("file", UNITS)
def test_systemd_understands_the_unit(file: str, tmp_path: Path) -> None:
    there = f"{Path(sys.executable).parent}/mmar-runner"
    text = (DEPLOY / "systemd" / file).read_text()
    copied = tmp_path / file.replace("@", "@site-1")
    copied.write_text(text.replace("/opt/mmar-runner/bin/mmar-runner", there))
    environment = {**os.environ, "SYSTEMD_PAGER": "", "NO_COLOR": "1"}
    for words in (
        ["verify", "--man=no", str(copied)],
        ["security", "--offline=true", f"--threshold={int(_EXPOSED * 10)}", str(copied)],
    ):
        done = subprocess.run(
            ["systemd-analyze", *words],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == ""


def test_what_needs_an_engine_or_root_names_files_that_are_there() -> None:
    """Such blocks are not run: what they name of this repository has to be there all the same."""
    scripts = [text for action in ("engine", "root") for _, text in blocks("sh", action)]
    words = [word for text in scripts for word in shlex.split(text, comments=True)]
    named = {word.rstrip("/") for word in words if word.startswith(("deploy/", "./plugins/"))}
    assert len(named) >= 4
    for word in named:
        assert list(ROOT.glob(word.removeprefix("./"))), word
    plugins = re.findall(r'PLUGINS="([^"]+)"', "\n".join(scripts))
    assert all((ROOT / "plugins" / one).is_dir() for text in plugins for one in text.split())
    unit_names = [word for word in words if word.startswith("mmar-runner-") and "*" not in word]
    kinds = {name.removesuffix(".service") for name in UNITS}
    for word in unit_names:
        assert re.sub("@.*", "@", word) in kinds, word
