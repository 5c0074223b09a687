# SPDX-License-Identifier: Apache-2.0
"""``schema``: the JSON Schema of a file format, for editors and other programs."""

from __future__ import annotations

import click

from mmar_runner.cli.output import echo_json, json_option, say
from mmar_runner.documents.schema_store import load_schema, schema_names


@click.command("schema")
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """Print the JSON Schema called NAME; without NAME, list them.

    `mmar-runner plugins show COMPONENT` shows the arguments of a component.
    """
    if name is not None:
        echo_json(load_schema(name.removesuffix(".json")))
    elif as_json:
        echo_json({known: load_schema(known)["description"] for known in schema_names()})
    else:
        for known in schema_names():
            say(f"{known:<20} {load_schema(known)['title']}")
