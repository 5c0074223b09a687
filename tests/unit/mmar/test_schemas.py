# SPDX-License-Identifier: Apache-2.0
"""The schemas themselves, and that they and the specification say the same."""

from __future__ import annotations

from dataclasses import fields

import pytest
from jsonschema import Draft202012Validator

from mmar_runner.documents.schema_check import faults
from mmar_runner.documents.schema_store import load_schema, schema_names
from mmar_runner.errors import UsageError
from mmar_runner.mmar.components.build import DEFAULTS
from mmar_runner.mmar.spec import ClientSpec, ServerSpec
from mmar_runner.security.policy.site_policy import SitePolicy

#: Names of a specification that are other words for a key of the file.
RENAMED = {
    "task_name": "name",
    "checkpoint": "ckpt_preload_path",
    **dict.fromkeys(
        ("cross_site", "cross_site_inbound", "cross_site_outbound"), "cross_site_validation"
    ),
}


def properties(schema):
    """Yield (path, property schema) at any depth."""
    for keyword in ("properties", "$defs", "patternProperties"):
        for name, inner in schema.get(keyword, {}).items():
            yield name, inner
            yield from properties(inner)
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), dict):
            yield keyword, schema[keyword]
            yield from properties(schema[keyword])


def names_of(value):
    return {field.name for field in fields(value)}


def test_all_schemas_are_there():
    assert set(schema_names()) == {
        *("config_fed_client", "config_fed_server", "config_train", "config_validation"),
        *("endpoint", "environment", "signature", "site_policy", "summary", "trust"),
        *("authority", "authorization", "kit", "policy_decision", "project", "revocations"),
        *("run_status", "signed_manifest", "validate_report", "error", "status_report"),
        *("plugins_doctor", "plugins_kind", "plugins_list", "plugins_show"),
        *("plugins_compatibility", "upgrade_report"),
        *("provision_report", "provision_request", "sign_report", "verify_report", "report"),
        *("admin_event", "admin_order", "admin_result", "downloaded_file", "uploaded_mmar"),
        *("cross_site_results", "federation", "health", "standing", "system_info"),
    }
    with pytest.raises(UsageError, match="no schema 'nothing'"):
        load_schema("nothing")


@pytest.mark.parametrize("name", schema_names())
def test_a_schema_is_sound_and_describes_everything(name):
    schema = load_schema(name)

    Draft202012Validator.check_schema(schema)
    assert schema["$schema"].endswith("2020-12/schema")
    assert schema["$id"].endswith(f":{name}")
    for place, inner in [(name, schema), *properties(schema)]:
        assert "$ref" in inner or inner.get("description"), f"{name}: {place} has no description"


def test_the_server_schema_and_the_specification_have_the_same_keys():
    schema = load_schema("config_fed_server")
    task = schema["properties"]["servers"]["items"]["properties"]
    keys = schema["properties"].keys() | task.keys()

    for name in names_of(ServerSpec):
        assert RENAMED.get(name, name) in keys
    for key, default in DEFAULTS.items():
        assert task[key]["default"] == default
        assert schema["properties"][key]["default"] == default


def test_the_client_schema_and_the_specification_have_the_same_keys():
    schema = load_schema("config_fed_client")
    keys = schema["properties"].keys() | {"name"}
    for name in names_of(ClientSpec):
        assert RENAMED.get(name, name) in keys


def test_the_policy_schema_and_the_policy_have_the_same_keys():
    keys = load_schema("site_policy")["properties"].keys()

    assert names_of(SitePolicy) - {"document"} | {"version"} == set(keys)


@pytest.mark.parametrize(
    ("schema", "value", "kind", "path", "says"),
    [
        ({"type": "integer"}, "3", "type", (), "a whole number"),
        ({"enum": ["a", "b"]}, "c", "value", (), 'not one of "a", "b"'),
        ({"items": {"minimum": 2}}, [3, 1], "value", (1,), "below 2"),
        ({"required": ["a"]}, {}, "required", (), "'a' is missing"),
        (
            {"required": ["size"], "properties": {"size": {}}, "additionalProperties": False},
            {"sise": 1},
            "required",
            ("sise",),
            "here stands 'sise'",
        ),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "x", "type", (), "or null"),
        (
            {"oneOf": [{"type": "object", "required": ["a"]}, {"type": "null"}]},
            {},
            "required",
            (),
            "'a'",
        ),
        ({"uniqueItems": True}, [1, 1], "value", (), "twice"),
        ({"format": "regex"}, "(", "value", (), "regular expression"),
        ({"not": {"type": "null"}}, None, "value", (), "not allowed"),
    ],
)
def test_every_fault_is_a_sentence(schema, value, kind, path, says):
    (fault,) = faults(schema, value)

    assert (fault.kind, fault.path) == (kind, path)
    assert says in fault.message
