# SPDX-License-Identifier: Apache-2.0
"""The console in a terminal, as somebody types: real keys, real processes."""

import signal
import stat
from threading import Event

from tests.e2e.admin_console.conftest import LEAD
from tests.e2e.admin_console.terminal import Terminal

PROMPT = f"demo {LEAD}>"
DONE = "Done ["


def test_a_first_visit(federation):
    with federation.office(), federation.clients(), federation.console() as screen:
        screen.expect("2 clients there")
        screen.expect(PROMPT)
        screen.line("help")
        assert "check_status" in screen.expect(DONE)
        screen.line("help deploy")
        assert "usage: deploy MMAR server | client [NAME...] | all" in screen.expect(DONE)
        screen.line("? nothing")
        assert "COMMAND_UNKNOWN" in screen.expect(DONE)
        screen.line("chek_status all")
        assert "Did you mean 'check_status'?" in screen.expect(DONE)
        screen.type("check_s\t")
        screen.expect("tatus")
        screen.type("cl\t")
        screen.expect("ient")
        screen.type("site-\t")
        screen.expect("site-2")
        screen.line("1")
        assert "idle" in screen.expect(DONE)
        screen.line("info")
        assert "certificate until" in screen.expect(DONE)
        screen.line("bye")
        assert screen.wait() == 0
    history = federation.kit / "state" / "console_history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert "help deploy" in history.read_text()


def test_what_is_declined_is_not_done(federation):
    with federation.office(), federation.clients(), federation.console() as screen:
        screen.expect(PROMPT)
        screen.line("shutdown all")
        screen.expect("type 'all' to go on")
        screen.line("server")
        screen.expect("nothing was ordered")
        screen.line("remove_client site-1")
        screen.expect("really? [y/N]")
        screen.interrupt()
        screen.expect("nothing was ordered")
        screen.type("half a line")
        screen.expect("half a line")
        screen.interrupt()
        screen.interrupt()  # wherever the console is, it stays
        screen.expect(PROMPT)
        screen.line("check_status all")
        said = screen.expect(DONE)
        assert "site-1" in said
        assert "site-2" in said
        screen.expect(PROMPT, after=DONE)  # before that, the terminal itself takes Ctrl-D
        screen.type("\x04")  # Ctrl-D leaves too
        assert screen.wait() == 0


def test_a_run_from_the_upload_to_its_end(federation):
    with federation.office(), federation.clients(), federation.console() as screen:
        screen.expect(PROMPT)
        screen.line("upload_folder study")
        said = screen.expect(DONE)
        assert "upload_folder is upload now" in said
        assert "study is uploaded" in said
        screen.line("set_run_number 1")
        screen.expect(DONE)
        screen.type("deploy st\t")
        screen.expect("udy")
        screen.line("all")
        assert "accepted study" in screen.expect(DONE)
        screen.line("start all")
        assert "run 1 has begun with round 0" in screen.expect(DONE)

        screen.line("watch")
        screen.expect("Ctrl-C ends this view")
        screen.expect("training")
        screen.interrupt()
        screen.expect("the view has ended; the run goes on")
        with Terminal(["admin", *federation.options, "watch"], federation.folder) as view:
            view.expect("Ctrl-C ends this view")
            view.interrupt()
            view.expect("the view has ended; the run goes on")
            assert view.wait() == 130
        screen.line("check_status server > status.txt")
        assert "written to status.txt" in screen.expect(DONE)
        assert "1 of" not in (federation.folder / "status.txt").read_text().splitlines()[0]
        assert "started" in (federation.folder / "status.txt").read_text()

        screen.line("abort server")
        screen.expect("type 'server' to go on")
        screen.line("server")
        assert "the run is stopped" in screen.expect(DONE)
        screen.line("download run_1/summary.json here")
        screen.expect(DONE)
        assert (federation.folder / "here" / "summary.json").exists()
        screen.line("quit")
        assert screen.wait() == 0


def test_a_server_that_is_away_and_comes_back(federation):
    with federation.console() as screen:
        assert screen.wait() == 1
        assert "is the server running, without an MMAR?" in screen.expect("--server")
    with federation.office() as office, federation.console() as screen:
        screen.expect(PROMPT)
        office.terminate()
        assert office.wait() == 3
        screen.line("check_status server")
        assert "UNREACHABLE" in screen.expect(DONE)
        screen.line("help check_status")  # the console is there, whoever is away
        assert "usage: check_status" in screen.expect(DONE)
        with federation.office():
            screen.line("check_status server")
            said = screen.expect(DONE)
            assert f"logged in again as {LEAD}" in said
            assert "not started" in said
            screen.line("list_mmars")
            assert "logged in again" not in screen.expect(DONE)
            screen.line("bye")
            assert screen.wait() == 0


def test_a_session_that_is_over(federation):
    with federation.office("--session-idle", "1"), federation.console() as screen:
        screen.expect(PROMPT)
        Event().wait(1.2)  # nothing tells that a session is over: it just is
        screen.line("check_status server")
        said = screen.expect(DONE)
        assert f"the session was over: logged in again as {LEAD}" in said
        screen.line("bye")


def test_a_terminal_without_colours(federation):
    with federation.office(), federation.console(NO_COLOR="1") as screen:
        screen.expect(PROMPT)
        screen.line("check_status server")
        screen.expect(DONE)
        screen.line("nothing")
        screen.expect(DONE)
        assert b"\x1b[31m" not in screen.raw
        screen.kill(signal.SIGTERM)
        assert screen.wait() != 0
