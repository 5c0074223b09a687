# SPDX-License-Identifier: Apache-2.0
"""The README's shell examples are run as they stand."""

import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = re.findall(
    r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(example, folder, port):
    """Run an example in a folder of its own that has the samples."""
    (folder / "mmars").symlink_to(ROOT / "mmars")
    (folder / "projects").mkdir()
    for project in (ROOT / "projects").glob("*.yml"):
        text = project.read_text().replace("fed_learn_port: 8002", f"fed_learn_port: {port}")
        (folder / "projects" / project.name).write_text(text)
    commands = Path(sys.executable).parent
    return subprocess.run(
        # `set -e` does not see processes in the background: each is waited for by itself.
        [
            *("bash", "-euo", "pipefail", "-c"),
            example.replace("\nwait\n", '\nfor job in $(jobs -p); do wait "$job"; done\n'),
        ],
        cwd=folder,
        env={"PATH": f"{commands}:/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_example(example, tmp_path):
    # Another test, or another program of the reader, may hold the port of the text.
    port = free_port()
    done = run(example.replace("127.0.0.1:8002", f"127.0.0.1:{port}"), tmp_path, port)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_the_examples_begin_with_the_program():
    assert len(EXAMPLES) >= 3
    for line in "".join(EXAMPLES).splitlines():
        assert line == "wait" or line.startswith(("mmar-runner ", "cp -r mmars/"))


def test_a_federation_with_kits_takes_at_most_eight_commands():
    [kits] = [example for example in EXAMPLES if "--kit" in example]
    assert len(kits.splitlines()) <= 8


def test_the_program_is_on_the_path_that_the_examples_use():
    assert shutil.which("mmar-runner", path=str(Path(sys.executable).parent))
