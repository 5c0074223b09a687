# SPDX-License-Identifier: Apache-2.0
"""Real processes: they hang, fail, are killed, talk too much, and leave others behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace

import pytest

from mmar_runner.errors import TaskFailedError
from mmar_runner.interfaces.entry_points import EntryPoint
from mmar_runner_entry_points.running import Surroundings, run
from tests.unit.plugins_entry_points.starting import ends, python

#: Starts a process that outlives whoever started it, and notes its number.
LEAVES_ANOTHER = """
import subprocess, sys
left = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
open("left", "w").write(str(left.pid))
"""


def failure(entry: EntryPoint, place: Surroundings) -> TaskFailedError:
    with pytest.raises(TaskFailedError) as caught:
        run(entry, [], place)
    return caught.value


def test_a_command_is_given_its_arguments_and_works_in_the_package(package, place, log):
    run(python("import os, sys; print(sys.argv[1:], os.getcwd())"), ["IN", "OUT"], place)
    assert log.read_text() == f"['IN', 'OUT'] {package}\n"


def test_it_has_the_environment_that_it_is_given_and_no_more(place, log, monkeypatch):
    monkeypatch.setenv("MMAR_RUNNER_SECRET", "leaks")
    run(EntryPoint("train", ("env",)), [], place)
    assert log.read_text() == f"PATH={place.env['PATH']}\n"


def test_it_inherits_no_file_of_its_parents(place, log):
    run(python("import os; print(*sorted(os.listdir('/proc/self/fd')))"), [], place)
    assert log.read_text() == "0 1 2 3\n"  # the last one lists them


def test_it_reads_nothing_from_the_terminal(place, log):
    run(python("import sys; print(repr(sys.stdin.read()))"), [], place)
    assert log.read_text() == "''\n"


def test_no_shell_is_asked(package, place, log):
    run(EntryPoint("train", ("echo", "$HOME", "&&", "touch", "made")), ["; touch made"], place)
    assert log.read_text() == "$HOME && touch made ; touch made\n"
    assert not (package / "made").exists()


def test_one_that_fails_says_how_and_what_it_printed_last(place, log):
    error = failure(
        python("import sys; print('before', flush=True); sys.exit('no data here')"), place
    )
    said = "the entry point train ended with exit code 1: no data here"
    assert (error.message, error.reason) == (said, "TASK_FAILED")
    assert "its output is in the log" in error.hint
    assert log.read_text() == "before\nno data here\n"


def test_one_that_says_nothing_is_said_to(place):
    assert failure(python("raise SystemExit(7)"), place).message == (
        "the entry point train ended with exit code 7, and printed nothing"
    )


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGTERM, signal.SIGHUP])
def test_one_that_a_signal_ended_is_said_to(number, place):
    error = failure(python(f"import os; os.kill(os.getpid(), {int(number)})"), place)
    assert error.message.startswith(f"the entry point train was ended by {number.name}")


def test_one_that_is_killed_may_have_had_too_little_memory(place):
    error = failure(python("import os; os.kill(os.getpid(), 9)"), place)
    assert "was ended by SIGKILL (memory may have run out)" in error.message
    assert '"memory_bytes"' in error.hint


def test_one_that_hangs_is_ended_with_all_that_it_started(package, place):
    source = f"{LEAVES_ANOTHER}\nprint('waiting', flush=True)\nleft.wait()"
    error = failure(python(source, seconds=3), place)
    assert error.reason == "TASK_TIMEOUT"
    assert "did not end within 3 seconds" in error.message
    assert '"seconds"' in error.hint
    assert ends(int((package / "left").read_text()))


def test_one_that_talks_without_end_is_ended_too(place, log):
    began = time.monotonic()
    error = failure(python("while True: print('y' * 1000)", seconds=2), place)
    assert error.reason == "TASK_TIMEOUT"
    assert time.monotonic() - began < 30
    assert log.stat().st_size < 1 << 18


def test_what_it_leaves_running_is_ended_when_it_ends(package, place):
    run(python(LEAVES_ANOTHER), [], place)
    assert ends(int((package / "left").read_text()))


def test_one_that_left_its_group_does_not_hold_it_up(package, place):
    # Its output stays open in a process that nobody finds: that must cost no time.
    source = LEAVES_ANOTHER.replace('pause()"]', 'pause()"], start_new_session=True')
    began = time.monotonic()
    run(python(source), [], place)
    assert time.monotonic() - began < 30
    left = int((package / "left").read_text())
    os.kill(left, signal.SIGKILL)
    assert ends(left)


def test_what_it_prints_is_bounded_and_the_end_is_kept(place, log):
    source = "print('begin'); print('m' * 1000000); print('the end')"
    run(python(source), [], replace(place, log_bytes=1000))
    said = log.read_text()
    assert len(said) < 20_000
    assert said.startswith("begin\nmmm")
    assert "bytes are left out here ..." in said
    assert said.endswith("m\nthe end\n")


def test_memory_is_limited(place):
    source = "held = bytearray(1 << 30); print('had it')"
    run(python(source), [], place)
    error = failure(python(source, memory=600_000_000), place)
    assert error.message.endswith("exit code 1: MemoryError")


def test_the_smaller_limit_of_memory_counts(place, log):
    # In a process of its own: a limit cannot be raised again.
    source = f"""
        import os, resource
        from pathlib import Path
        from mmar_runner.interfaces.entry_points import EntryPoint
        from mmar_runner_entry_points.running import Surroundings, run
        resource.setrlimit(resource.RLIMIT_AS, (3_000_000_000, 3_000_000_000))
        place = Surroundings(Path({str(place.package)!r}), dict(os.environ), 10_000)
        for asked in (2_000_000_000, 9_000_000_000, None):
            run(EntryPoint("train", ("sh", "-c", "ulimit -v"), 60, asked), [], place)
    """
    command = [sys.executable, "-c", textwrap.dedent(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    kib = [int(line) for line in done.stderr.split()]
    assert kib == [2_000_000_000 // 1024, 3_000_000_000 // 1024, 3_000_000_000 // 1024]


def test_it_leaves_no_memory_image(package, place, log):
    run(EntryPoint("train", ("sh", "-c", "ulimit -c")), [], place)
    assert log.read_text() == "0\n"


def test_a_program_that_is_not_there_is_named_before_anything_starts(place, log):
    error = failure(EntryPoint("train", ("pyhton3", "train.py")), place)
    assert "the program 'pyhton3' of the entry point train cannot be run here" in error.message
    assert "install it at this site" in error.hint
    assert log.read_text() == ""


def test_a_file_of_the_package_is_no_program(package, place):
    (package / "train.sh").write_text("exit 0\n")
    error = failure(EntryPoint("train", ("./train.sh",)), place)
    assert "not executable" in error.message
    assert "such as sh ./train.sh" in error.hint


def test_a_program_whose_interpreter_is_missing_is_said_not_to_start(package, place):
    script = package / "train"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    error = failure(EntryPoint("train", ("./train",)), place)
    assert "could not be started" in error.message
    assert "./train cannot be started" in error.message


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_command_dies_with_the_process_that_had_it_started(number, package, tmp_path):
    # Even if it has closed everything that it was given, and whatever it started too.
    command = f"""{LEAVES_ANOTHER}
import os
os.closerange(0, 100)
open("ready", "w").write(str(os.getpid()))
os.open("told", os.O_WRONLY)
left.wait()
"""
    os.mkfifo(package / "told")
    source = f"""
import os, sys
from pathlib import Path
from mmar_runner.interfaces.entry_points import EntryPoint
from mmar_runner_entry_points.running import Surroundings, run
place = Surroundings(Path({str(package)!r}), dict(os.environ), 1000)
run(EntryPoint("train", (sys.executable, "-c", {command!r})), [], place)
"""
    with subprocess.Popen([sys.executable, "-c", source]) as parent:
        os.close(os.open(package / "told", os.O_RDONLY))  # opens once the command does
        pids = [int((package / name).read_text()) for name in ("ready", "left")]
        parent.send_signal(number)
        assert all(ends(pid) for pid in pids)
