# SPDX-License-Identifier: Apache-2.0
"""An address that nothing can have is refused where it is given."""

import pytest

from mmar_runner.cli.starting.addresses import require_address
from mmar_runner.errors import UsageError


@pytest.mark.parametrize("host", ["server..example.org", ".example.org", "..", f"{'a' * 64}.org"])
def test_the_name_of_no_host_is_refused(host: str) -> None:
    with pytest.raises(UsageError, match="name of no host") as refused:
        require_address(f"{host}:8002", option="--server")
    assert "63" in str(refused.value.hint)


@pytest.mark.parametrize(
    "host", ["localhost", "fl.example.org", "fl.example.org.", "127.0.0.1", "[::1]", "büro.example"]
)
def test_every_host_passes(host: str) -> None:
    assert require_address(f"{host}:8002", option="--server") == host
