# SPDX-License-Identifier: Apache-2.0
"""Plugins: what is installed, under which names, and how a component is built.

This room finds plugins (installed distributions and one-file plugins), asks each what
it registers, and keeps the answers as data. Loading is an explicit call and every
call gives a new, independent `LoadedPlugins`: there is no global manager. The room
does not know MMARs, does not decide what a site accepts, and imports no component
until one is built.
"""

from mmar_runner.hooks.manager import LoadedPlugins, load_plugins
from mmar_runner.hooks.markers import PROJECT_NAME, hookimpl, hookspec
from mmar_runner.hooks.registrar import Registrar

__all__ = [
    "PROJECT_NAME",
    "LoadedPlugins",
    "Registrar",
    "hookimpl",
    "hookspec",
    "load_plugins",
]
