# SPDX-License-Identifier: Apache-2.0
"""Distributions that are really on disk, as pip would leave them, but for one test."""

from __future__ import annotations

from pathlib import Path

#: A plugin with the filters Blank, Mark and Increment.
SITE_FILTERS = Path(__file__).with_name("assets") / "site_filters" / "filters_of_a_site.py"


def install(
    folder: Path,
    module: str,
    source: str,
    *,
    name: str = "installed-for-a-test",
    entry: str = "site",
    version: str = "1.0",
) -> Path:
    """Install a distribution with one plugin.

    Args:
        folder: Where it is installed; made if it is not there. It has to be on the path.
        module: The plugin's module.
        source: What that holds.
        name: The distribution's name.
        entry: The name of its entry point.
        version: Its version.

    Returns:
        The folder of its metadata.
    """
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (folder / f"{module}.py").write_text(source)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[mmar_runner]\n{entry} = {module}\n")
    return info


def install_site_filters(folder: Path) -> None:
    """Install `SITE_FILTERS`."""
    install(folder, SITE_FILTERS.stem, SITE_FILTERS.read_text(), name="site-filters")
