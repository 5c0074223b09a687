# SPDX-License-Identifier: Apache-2.0
"""E10: the very tokens and session keys are looked for in all that a server says and keeps."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.errors import RefusedError
from mmar_runner.testing.processes import RunningServer

VARIABLES = {"NUM_ROUNDS": 2, "MIN_NUM_CLIENTS": 2, "MODEL_MB": 0.01}


class Talkative(RunningServer):
    """A server that says all that it can say, in either form."""

    def __init__(self, mmar: Path, workspace: Path, kit: Path, form: str) -> None:
        self.workspace = workspace
        self._endpoint = workspace / "endpoint.json"
        arguments = ["--log-format", form, "-vv", "run-server", str(mmar), "--kit", str(kit)]
        arguments += ["--workspace", str(workspace), "--listen", "127.0.0.1:0"]
        arguments += [p for k, v in VARIABLES.items() for p in ("--set", f"{k}={v}")]
        super(RunningServer, self).__init__(
            arguments, folder=workspace.parent, label=f"{workspace.name}-server"
        )


def ways_to_write(secret: bytes) -> set[bytes]:
    """Return how bytes may be written in a text."""
    urlsafe = base64.urlsafe_b64encode(secret).rstrip(b"=")
    plain = base64.b64encode(secret).rstrip(b"=")
    return {secret, secret.hex().encode(), plain, urlsafe, repr(secret)[2:-1].encode()}


def found(secrets: set[bytes], *places: Path) -> list[tuple[bytes, Path]]:
    """Return where a secret lies, but in the files that are made to keep one."""
    files = [p for place in places for p in (place.rglob("*") if place.is_dir() else [place])]
    keeping = {"session.key", "token.key"}
    return [
        (secret, path)
        for path in files
        if path.is_file() and path.name not in keeping
        for secret in secrets
        if secret in path.read_bytes()
    ]


@pytest.mark.parametrize("form", ["json", "text"])
def test_e10_no_token_and_no_session_key_is_in_what_a_talkative_server_writes(
    tmp_path: Path, arena_of: Any, mmar: Path, project: Any, form: str
) -> None:
    secrets: set[bytes] = set()
    folder = tmp_path / "server"

    async def play(player: Any) -> None:
        async with player:
            secrets.update(ways_to_write(player.key), {player.token.encode()})
            await player.heartbeat()
            wrong = f"{player.token[:-2]}AA"  # most of it is the true one
            for call in (player.heartbeat(wrong), player.register(session_key=bytes(32))):
                with pytest.raises(RefusedError):
                    await call
            secrets.add(player.token.rpartition(".")[2][:-2].encode())

    with Talkative(mmar, folder / "ws", project.kits.server, form) as server:
        arena = arena_of(server, mmar, VARIABLES)
        arena.strike(play, project.tls("witness"), name="witness")
        clients = tmp_path / "clients"
        with (
            arena.honest("site-1", clients) as first,
            arena.honest("site-2", clients) as second,
        ):
            assert server.wait() == 0, server.stderr
            assert [first.wait(), second.wait()] == [0, 0]
    secrets |= ways_to_write((folder / "ws" / "token.key").read_bytes())
    for site in ("site-1", "site-2"):
        secrets |= ways_to_write((clients / site / "session.key").read_bytes())
    assert len(server.stderr.splitlines()) > 3, "it said nothing"
    assert found(secrets, folder, clients) == []

    # The control: what is there is found, in whatever way it is written.
    planted = tmp_path / "planted.log"
    for secret in secrets:
        planted.write_bytes(b"before " + secret + b" after")
        assert found({secret}, planted)
