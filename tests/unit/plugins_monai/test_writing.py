# SPDX-License-Identifier: Apache-2.0
"""A process whose archive brings no code writes below its workspace, and starts nothing.

One process, which the wall closes for good, tries everything; the tests look at what came of it.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SCRIPT = """
import json, os, pickle, shutil, sqlite3, subprocess, sys, tempfile
from functools import partial
from pathlib import Path
here = Path(sys.argv[1])
work, other = here / "work", here / "other"
from mmar_runner_monai.writing import WRITING
os.chdir(work)
folder = os.open(other, os.O_RDONLY)
WRITING.allow(work)
class Evil:
    def __init__(self, call, *arguments):
        self.told = call, arguments
    def __reduce__(self):
        return self.told
def pickled(*told):
    return partial(pickle.loads, pickle.dumps(Evil(*told)))
out = other / "new"
attempts = {
    "open": lambda: open(out, "w"),
    "append": lambda: open(other / "kept", "a"),
    "os.open": lambda: os.open(out, os.O_WRONLY | os.O_CREAT),
    "upwards": lambda: open("../other/new", "w"),
    "by a link": lambda: open("link/new", "w"),
    "a link to a file": lambda: open("linked", "w"),
    "remove": lambda: os.remove(other / "kept"),
    "remove by a folder": lambda: os.remove("kept", dir_fd=folder),
    "rmtree": lambda: shutil.rmtree(other),
    "rename away": lambda: os.rename(other / "kept", "mine"),
    "rename out": lambda: os.replace("own", out),
    "mkdir": lambda: os.mkdir(out),
    "makedirs": lambda: (other / "a" / "b").mkdir(parents=True),
    "symlink": lambda: os.symlink("own", out),
    "link": lambda: os.link("own", out),
    "truncate": lambda: os.truncate(other / "kept", 0),
    "chmod": lambda: os.chmod(other / "kept", 0o777),
    "sqlite": lambda: sqlite3.connect(out),
    "system": lambda: os.system(f"touch {out}"),
    "popen": lambda: subprocess.Popen(["touch", out]),
    "pickled system": pickled(os.system, f"touch {out}"),
    "pickled eval": pickled(eval, f"open({str(out)!r}, 'w')"),
    "pickled Popen": pickled(subprocess.Popen, ["touch", str(out)]),
    "inside": lambda: Path("new").write_text("x"),
    "inside by its whole path": lambda: (work / "a" / "b").mkdir(parents=True),
    "inside renamed": lambda: os.rename("new", "newer"),
    "inside removed": lambda: os.remove("newer"),
    "a link of its own": lambda: os.remove("linked"),
    "temporary": lambda: tempfile.TemporaryDirectory().cleanup(),
    "temporary file": lambda: tempfile.TemporaryFile().close(),
    "nowhere": lambda: open(os.devnull, "w").close(),
    "read": lambda: (other / "kept").read_text(),
    "in memory": lambda: sqlite3.connect(":memory:"),
    "pickled data": lambda: pickle.loads(pickle.dumps({"a": Path("x")})),
}
said = {}
for name, attempt in attempts.items():
    try:
        attempt()
        said[name] = "done"
    except PermissionError as error:
        said[name] = str(error)
print(json.dumps(said))
"""
#: What may be done; everything else may not.
FREE = {
    *("inside", "inside by its whole path", "inside renamed", "inside removed"),
    *("a link of its own", "temporary", "temporary file", "nowhere", "read", "in memory"),
    "pickled data",
}


@pytest.fixture(scope="module")
def tried(tmp_path_factory):
    here = tmp_path_factory.mktemp("writing")
    work, other = here / "work", here / "other"
    work.mkdir()
    other.mkdir()
    (other / "kept").write_text("as it was")
    (work / "own").write_text("own")
    (work / "link").symlink_to(other)
    (work / "linked").symlink_to(other / "kept")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(here)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), other


def test_what_leads_out_is_refused_and_what_stays_inside_is_done(tried):
    said, _ = tried
    assert {name for name, what in said.items() if what == "done"} == FREE


def test_a_refusal_says_what_was_tried(tried):
    said, other = tried
    assert said["open"] == (
        "[Errno 13] a part of an MMAR may not write to "
        f"{str(other / 'new')!a}, outside the client's workspace"
    )
    assert said["pickled system"].endswith("may not load posix.system out of a pickle")
    assert "may not start " in said["system"]


def test_nothing_was_written_elsewhere(tried):
    _, other = tried
    assert [one.name for one in other.iterdir()] == ["kept"]
    assert (other / "kept").read_text() == "as it was"
