# SPDX-License-Identifier: Apache-2.0
"""A client that waits for orders, as a program."""

from mmar_runner.testing.kits import make_kits
from mmar_runner.testing.processes import RunningClient, free_port


def test_a_client_without_a_server_gives_up_when_it_was_told_to(tmp_path):
    kits = make_kits(tmp_path, clients=("site-1",))
    nobody = f"localhost:{free_port()}"
    options = ("--connect-timeout", "0.5", "--json")
    with RunningClient(
        None, nobody, "site-1", tmp_path / "ws", *options, kit=kits.client("site-1")
    ) as client:
        assert client.wait() == 1
        assert '"reason": "UNREACHABLE"' in client.stdout
