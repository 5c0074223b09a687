# SPDX-License-Identifier: Apache-2.0
"""Nothing outside the run's folder is shown, whatever is asked and whoever exchanges what."""

import errno
import os
import socket
import threading
from pathlib import Path

import pytest

from mmar_runner.errors import MmarRunnerError, NotAuthorizedError, StorageError, UsageError
from mmar_runner.shell import paths
from mmar_runner.shell.command import USAGES, shell_command
from mmar_runner.shell.paths import Root
from tests.unit.shell.conftest import SECRET

READERS = (["cat"], ["head"], ["tail"], ["grep", "-i", "o"], ["ls"])


def refusal(root, *words):
    with pytest.raises(NotAuthorizedError) as caught:
        shell_command(words, root, USAGES)
    assert caught.value.reason == "PATH"
    assert SECRET not in str(caught.value)
    assert caught.value.hint
    return caught.value.message


@pytest.mark.parametrize("reader", READERS, ids=lambda words: words[0])
@pytest.mark.parametrize(
    "path",
    [
        "../startup/x.key",
        "logs/../../startup/notes.txt",
        "..",
        "logs/..",
        "/etc/passwd",
        "//etc/passwd",
        "/proc/self/environ",
        "/",
        "..\\startup",
        "logs\\server.log",
        "a\0b",
        "logs/server.log\n",
        "\x1b[2J",
        "logs\u00a0server.log",
        "\u2003logs",
        "\u202elogs",
        "\ufeff..",
        "",
        "/".join("a" * 33),
    ],
    ids=ascii,
)
def test_a_path_that_no_honest_one_needs_is_refused(root, reader, path):
    message = refusal(root, *reader, "--", path)
    assert message.isprintable()


@pytest.mark.parametrize("reader", READERS, ids=lambda words: words[0])
@pytest.mark.parametrize(
    "word",
    [
        *("; id", "logs;id", "$(id)", "`id`", "logs | id", "logs && id", "> x", "$HOME", "${HOME}"),
        *("~", "~root/x", "*", "logs/*", "?ogs", "[l]ogs", "{logs,x}", "%s", "!!", "logs &"),
    ],
)
def test_what_a_shell_would_obey_is_a_name_that_is_not_there(root, reader, word, monkeypatch):
    monkeypatch.chdir(root)
    before = sorted(root.rglob("*"))
    with pytest.raises(UsageError) as caught:
        shell_command([*reader, word], root, USAGES)
    assert caught.value.reason == "FILE_MISSING"
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize("reader", READERS, ids=lambda words: words[0])
def test_links_are_refused_wherever_they_stand(root, reader):
    (root / "file").symlink_to(root.parent / "startup" / "notes.txt")
    (root / "folder").symlink_to(root.parent / "startup")
    (root / "inside").symlink_to("summary.json")
    (root / "self").symlink_to("self")
    (root / "dangling").symlink_to("nowhere")
    for path in ("file", "folder/notes.txt", "inside", "self", "dangling", "folder/.", "folder/"):
        assert "a link" in refusal(root, *reader, path)


@pytest.mark.parametrize("reader", READERS, ids=lambda words: words[0])
def test_pipes_and_sockets_are_refused_and_not_opened(root, reader, monkeypatch):
    os.mkfifo(root / "pipe")
    monkeypatch.chdir(root)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("line")
        for path in ("pipe", "line"):
            assert "neither a file nor a folder" in refusal(root, *reader, path)
    assert "neither a file nor a folder" in refusal(root, *reader, "pipe/x")


@pytest.mark.parametrize("reader", READERS[:-1], ids=lambda words: words[0])
def test_a_file_with_a_second_name_is_refused(root, reader):
    os.link(root.parent / "startup" / "notes.txt", root / "harmless.txt")
    assert "another name" in refusal(root, *reader, "harmless.txt")


@pytest.mark.parametrize("reader", READERS[:-1], ids=lambda words: words[0])
@pytest.mark.parametrize(
    "name",
    [
        *("x.key", "X.KEY", "token.key", "server.pem", "token", "tokens.json", ".token"),
        *("session.key", "session_key.bin", "session-key", "x.key.bak", ".x.key.1.tmp", "a.p12"),
    ],
)
def test_keys_and_tokens_are_not_read_though_they_are_listed(root, reader, name, say):
    (root / name).write_text(SECRET)
    assert "not shown" in refusal(root, *reader, name)
    assert name in say("ls", "-a")


@pytest.mark.parametrize("name", ["monkey.txt", "keyboard", "broken.log", "key_metrics.csv", "key"])
def test_names_that_only_sound_like_keys_are_read(root, name, say):
    (root / name).write_text("harmless\n")
    assert say("cat", name) == "harmless\n"


def test_a_private_key_is_not_read_whatever_it_is_called(root):
    (root / "notes.txt").write_text("-----BEGIN EC PRIVATE KEY-----\nabc\n")
    assert "a private key is in it" in refusal(root, "cat", "notes.txt")


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (["cat", "nowhere"], "'nowhere'"),
        (["cat", "logs/nowhere/x"], "'logs/nowhere'"),
        (["cat", "logs/nowhere/x/y"], "'logs/nowhere'"),
        (["cat", "summary.json/x"], "'summary.json'"),
        (["ls", "logs/nowhere"], "'logs/nowhere'"),
        (["ls", "nowhere"], "'nowhere'"),
    ],
)
def test_what_is_not_there_is_named(root, words, place):
    with pytest.raises(UsageError, match="no such file or folder") as caught:
        shell_command(words, root, USAGES)
    assert caught.value.message.startswith(place)
    assert caught.value.reason == "FILE_MISSING"


def test_a_folder_is_no_text(say):
    for path in ("logs", "."):
        with pytest.raises(UsageError, match="is a folder"):
            say("cat", path)


def test_a_name_that_is_too_long_is_refused(root):
    refusal(root, "cat", "x" * 300)


@pytest.mark.parametrize("kind", ["missing", "file", "link"])
def test_a_root_that_is_no_folder_shows_nothing(tmp_path, kind):
    path = tmp_path / "run_1"
    if kind == "file":
        path.touch()
    elif kind == "link":
        path.symlink_to("/etc")
    with pytest.raises(MmarRunnerError):
        shell_command(["ls"], path, USAGES)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_cannot_be_read_is_said_to_be_so(root, say):
    (root / "summary.json").chmod(0)
    with pytest.raises(StorageError, match=r"'summary\.json' cannot be read"):
        say("cat", "summary.json")


def test_a_disk_that_fails_is_said_to_have_done_so(root, monkeypatch):
    def broken(*_, **__):
        raise OSError(5, "Input/output error")

    def said():
        with monkeypatch.context() as patch:
            patch.setattr(paths.os, "fstat", broken)
            shell_command(["cat", "summary.json"], root, USAGES)

    with pytest.raises(StorageError, match=r"'summary\.json' cannot be read: Input/output error"):
        said()


@pytest.mark.parametrize("words", [["ls", "logs"], ["cat", "logs/server.log"]])
def test_a_folder_that_must_not_be_opened_is_said_to_be_so(root, monkeypatch, words):
    def denied():
        raise PermissionError(errno.EACCES, "no")

    exchanging(monkeypatch, "logs", denied)
    with pytest.raises(StorageError, match="'logs' cannot be read: Permission denied"):
        shell_command(words, root, USAGES)


def exchanging(monkeypatch, name, exchange):
    """Have something exchanged after it was looked at and before it is opened."""
    real = os.open

    def opened(path, flags, *args, **kwargs):
        if path == name:
            exchange()
        return real(path, flags, *args, **kwargs)

    monkeypatch.setattr(paths.os, "open", opened)


@pytest.mark.parametrize("words", [["cat", "logs/server.log"], ["ls", "logs"]])
def test_a_folder_that_is_exchanged_for_a_link_gains_nothing(root, monkeypatch, words):
    def exchange():
        (root / "logs").rename(root / "moved")
        (root / "logs").symlink_to(root.parent / "startup")

    (root.parent / "startup" / "server.log").write_text(SECRET)
    exchanging(monkeypatch, "logs", exchange)
    assert "exchanged" in refusal(root, *words)


@pytest.mark.parametrize("into", ["link", "second name", "pipe"])
def test_a_file_that_is_exchanged_is_judged_as_it_is(root, monkeypatch, into):
    outside, path = root.parent / "startup" / "notes.txt", root / "summary.json"

    def exchange():
        path.unlink()
        if into == "link":
            path.symlink_to(outside)
        elif into == "pipe":
            os.mkfifo(path)
        else:
            os.link(outside, path)

    exchanging(monkeypatch, "summary.json", exchange)
    refusal(root, "cat", "summary.json")


def test_whoever_exchanges_folders_all_the_time_gains_nothing(root):
    """A folder and a link to the outside take turns under one name, as fast as they can."""
    (root.parent / "startup" / "server.log").write_text(SECRET)
    name, kept, link = root / "logs", root / "kept", root / "link"
    link.symlink_to(root.parent / "startup")
    enough = threading.Event()

    def take_turns():
        while not enough.is_set():
            name.rename(kept)
            link.rename(name)
            name.rename(link)
            kept.rename(name)

    thread = threading.Thread(target=take_turns)
    thread.start()
    shown, refusals = set(), 0
    try:
        while refusals < 20 or not shown:
            try:
                shown.add(shell_command(["cat", "logs/server.log"], root, USAGES).text)
            except MmarRunnerError:
                refusals += 1
    finally:
        enough.set()
        thread.join()
    assert shown == {"one\ntwo\nthree\n"}


def test_nothing_stays_open(root):
    (root / "file").symlink_to("summary.json")
    os.mkfifo(root / "pipe")
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))
    for path in ("logs/deep/inner.txt", "logs/deep/no", "file", "pipe", "summary.json/x", "."):
        for reader in (*READERS, ["ls", "-R"]):
            try:
                shell_command([*reader, path], root, USAGES)
            except MmarRunnerError:
                continue
    assert len(list(descriptors.iterdir())) == before


def test_a_root_below_a_link_is_one(tmp_path: Path, root):
    (tmp_path / "workspace").symlink_to(tmp_path)
    with Root(tmp_path / "workspace" / "run_7").folder(()) as descriptor:
        assert os.stat("summary.json", dir_fd=descriptor)
