# SPDX-License-Identifier: Apache-2.0
"""A server that lies or waits, and a state that is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmar_runner.client.delivery.package_file import IncomingPackage
from mmar_runner.hooks import LoadedPlugins
from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.folder import open_folder
from mmar_runner.mmar.manifest import list_files
from mmar_runner.security.kits.kit import StartupKit
from mmar_runner.security.packages.packing import pack
from mmar_runner.testing.kits import Kits
from mmar_runner.wire.messages import PackageHeader
from tests.unit.client.package.deployed import deployed


async def test_a_state_that_is_damaged_begins_anew(
    root: Path, kits: Kits, site: StartupKit, plugins: LoadedPlugins, tmp_path: Path
) -> None:
    package = pack(root, tmp_path / "same.zip")
    folder = tmp_path / "ws" / "packages"
    folder.mkdir(parents=True)
    (folder / "incoming.part").write_bytes(b"x" * 1000)
    digest = list_files(open_folder(root, Findings())).digest
    told = {"name": "job", "digest": digest, "sha256": package.sha256, "total_bytes": package.size}
    (folder / "incoming.json").write_text(json.dumps(told))
    async with deployed(root, kits, site, tmp_path) as client:
        await client.fetch(plugins)
    assert client.server.offsets == [1000, 0]


@pytest.mark.parametrize(
    "told",
    [
        {"name": "job", "digest": "0" * 64, "sha256": "0" * 64, "total_bytes": "x"},
        {"name": "job", "digest": "0" * 64, "sha256": None, "total_bytes": 5},
        {"name": "job", "digest": "0" * 64, "sha256": "0" * 64, "total_bytes": True},
        {"name": "job"},
        [1],
    ],
)
def test_a_kept_announcement_of_another_shape_is_no_announcement(told: Any, tmp_path: Path) -> None:
    (tmp_path / "incoming.part").write_bytes(b"x")
    (tmp_path / "incoming.json").write_text(json.dumps(told))
    package = IncomingPackage(tmp_path)
    package.close()
    assert (package.announced, package.offset) == (None, 0)


def header_with(**values: Any) -> Callable[[Any], Any]:
    def change(item: Any) -> Any:
        if isinstance(item, PackageHeader):
            for name, value in values.items():
                setattr(item, name, value)
        return item

    return change


LIES = {
    "another sha256": (header_with(sha256="0" * 64), "DIGEST"),
    "no sha256": (header_with(sha256=""), "PROTOCOL"),
    "no digest": (header_with(digest="x"), "PROTOCOL"),
    "a name that leads away": (header_with(name="../../evil"), "UNSAFE_PATH"),
    "no name": (header_with(name=""), "UNSAFE_PATH"),
    "another name": (header_with(name="other"), "MANIFEST_MISMATCH"),
    "less than comes": (header_with(total_bytes=10), "PROTOCOL"),
    "far too much": (header_with(total_bytes=1 << 62), "TOO_LARGE"),
    "another beginning": (header_with(offset=5), "PROTOCOL"),
    "no header": (lambda item: b"x" if isinstance(item, PackageHeader) else item, "PROTOCOL"),
    "a second header": (
        lambda item: item if isinstance(item, PackageHeader) else PackageHeader(),
        "PROTOCOL",
    ),
}


@pytest.mark.parametrize(("change", "reason"), LIES.values(), ids=LIES.keys())
async def test_a_server_that_lies_is_found_out(
    change: Callable[[Any], Any],
    reason: str,
    root: Path,
    kits: Kits,
    site: StartupKit,
    plugins: LoadedPlugins,
    tmp_path: Path,
) -> None:
    async with deployed(root, kits, site, tmp_path) as client:
        client.server.change = change
        assert await client.refusal(plugins) == reason
        assert client.audited() == [("mmar.run", "refused", reason)]
        client.server.change = lambda item: item
        await client.fetch(plugins)  # the same call, honest
