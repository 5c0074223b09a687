# SPDX-License-Identifier: Apache-2.0
"""Whatever text a component is handed was judged: none is handed over in another form."""

from __future__ import annotations

import json
import time

import pytest

from mmar_runner.mmar.sources.handed_over import without_idle_parts

SECRET = "/etc/passwd"
PLACE = "config_train.json#/train/optimizer/args/cache"


def arguments(mmar, **options):
    found = mmar.check(**options).facts.path_arguments
    return [(text, f"{place.file.rpartition('/')[2]}#{place.pointer}") for text, place in found]


def texts(value):
    """Return every key and text of a value."""
    if isinstance(value, dict):
        return [*value, *(text for child in value.values() for text in texts(child))]
    if isinstance(value, list | tuple):
        return [text for child in value for text in texts(child)]
    return [value] if isinstance(value, str) else []


def handed(mmar, **options):
    spec = mmar.check(**options).spec
    declared = spec.client.client_trainer.declaration if spec.client else {}
    return [
        text
        for value in (spec.train_config, spec.validation_config, spec.variables, declared)
        for text in texts(value)
    ]


@pytest.fixture
def cached(mmar):
    """Return what gives the optimizer a further argument."""

    def give(value):
        mmar.train["train"]["optimizer"]["args"]["cache"] = value
        return mmar

    return give


@pytest.mark.parametrize("where", ["file", "section", "section_with_args", "arguments"])
def test_disabled_hides_nothing_where_it_switches_no_component_off(cached, where):
    mmar = cached(SECRET)
    mmar.train["train"]["extra"] = {"path": "os.system"}
    optimizer = mmar.train["train"]["optimizer"]
    {
        "file": mmar.train,
        "section": mmar.train["train"],
        "section_with_args": mmar.train["train"],
        "arguments": optimizer["args"],
    }[where]["disabled"] = True
    if where == "section_with_args":
        mmar.train["train"] |= {"name": "no component", "args": {}}

    facts = mmar.check().facts

    assert (SECRET, PLACE) in arguments(mmar)
    assert "os.system" in [dotted for dotted, _ in facts.class_paths]


@pytest.mark.parametrize("part", ["optimizer", "unknown"])
def test_a_component_that_is_switched_off_is_handed_over_by_its_name_alone(mmar, part):
    off = {"name": "Net", "disabled": True, "args": {"file": SECRET, "x": {"path": "os.system"}}}
    mmar.train["train"][part] = off
    mmar.train["train"]["list"] = [off, {"path": "os.system", "disabled": True}]

    assert arguments(mmar) == []
    assert "os.system" not in [dotted for dotted, _ in mmar.check().facts.class_paths]
    assert SECRET not in handed(mmar)
    assert "os.system" not in handed(mmar)
    assert mmar.check().spec.train_config["train"][part] == {"name": "Net", "disabled": True}


def test_variables_within_variables_hide_nothing_at_any_depth(cached):
    mmar = cached("{V0}")
    mmar.environment |= {f"V{n}": f"{{V{n + 1}}}" for n in range(40)}
    mmar.environment |= {"V40": "{E}/etc/passwd", "E": ""}

    assert SECRET in [text for text, _ in arguments(mmar)]


@pytest.mark.parametrize("kind", ["deep", "many", "long"])
def test_variables_that_grow_without_an_end_are_an_error(cached, kind):
    mmar = cached("{V0}")
    if kind == "deep":
        chain = {f"V{n}": f"{{V{n + 1}}}" for n in range(600)} | {"V600": SECRET}
    elif kind == "many":
        chain = {f"V{n}": f"{{V{n + 1}}}" * 2 for n in range(60)} | {"V60": SECRET}
    else:
        chain = {"V0": "x{V1}" * 90, "V1": "x" * 200_000}
    mmar.environment |= chain
    started = time.perf_counter()

    report = mmar.check().report

    assert time.perf_counter() - started < 20
    (error,) = [f for f in report.findings if f.severity == "error"]
    assert (error.code, error.pointer) == ("MMAR403", "/train/optimizer/args/cache")


@pytest.mark.parametrize("name", ["SITE_INDEX", "NUM_SITES", "MIN_NUM_CLIENTS"])
@pytest.mark.parametrize("value", [SECRET, "2", True, 1.5, None])
def test_the_runners_numbers_are_whole_numbers_whatever_the_mmar_says(cached, name, value):
    variable = "NUM_SITES" if name == "MIN_NUM_CLIENTS" else name
    mmar = cached(f"{{{variable}}}")
    mmar.environment[name] = value

    checked = mmar.check(client_name="site-3")

    known = {"SITE_INDEX": 3, "NUM_SITES": 2}[variable]
    assert checked.spec.train_config["train"]["optimizer"]["args"]["cache"] == known
    assert checked.spec.variables[variable] == known
    assert checked.report.valid is (name == "MIN_NUM_CLIENTS")
    assert SECRET not in texts(checked.spec.train_config)


@pytest.mark.parametrize("name", ["SITE_INDEX", "NUM_SITES"])
def test_a_setting_that_is_no_number_is_an_error(cached, name):
    (error,) = cached(f"{{{name}}}").check(settings={name: "two"}).report.findings
    assert (error.code, error.severity) == ("MMAR402", "error")
    assert name in error.message


@pytest.mark.parametrize(
    ("setting", "text", "outside"),
    [
        ("/data/site-1", "{DATA}", False),
        ("/data/site-1", "{DATA}/x/y", False),
        ("/data/site-1/", "{DATA}x", False),
        ("/data/site-1", "{DATA}/{LEARNER}", False),
        ("s3://bucket", "{DATA}/x", False),
        ("/data/site-1", "{DATA}-private/x", True),
        ("/data/site-1", "{DATA}/../x", True),
        ("/data/site-1", "{DATA}/.. /x", True),
        ("/data/site-1", "{DATA}{SUFFIX}", True),
        ("/data/site-1", "{DATA}/$HOME", True),
        ("/data/site-1", "{DATA},/etc", True),
        ("", "{DATA}/etc/passwd", True),
        ("/", "{DATA}etc/passwd", True),
        (".", "{DATA}./x", True),
        ("file:", "{DATA}//etc/passwd", True),
        ("file:/", "{DATA}/etc/passwd", True),
        ("x", "{DATA}://host/x", True),
        ("{SUFFIX}", "{DATA}/etc", True),
        ("/data/{CLIENT_NAME}", "{DATA}/x", False),
    ],
)
def test_a_setting_frees_the_sites_folder_and_what_lies_in_it(cached, setting, text, outside):
    mmar = cached(text)
    mmar.environment |= {"SUFFIX": "/../../etc", "LEARNER": "me"}

    found = arguments(mmar, settings={"DATA": setting})

    assert (PLACE in [place for _, place in found]) is outside


def test_a_setting_frees_where_it_replaces_a_value_of_the_file_itself(mmar):
    mmar.train["cache"] = "/var/x"
    mmar.train["train"]["optimizer"]["args"]["cache"] = "{cache}-private"

    assert arguments(mmar, settings={"cache": "/site"}) == [("/site-private", PLACE)]


def test_a_value_of_the_environment_in_place_of_the_files_own_is_replaced_and_judged(mmar):
    mmar.train["cache"] = "models"
    mmar.environment |= {"cache": "{E}/etc", "E": ""}

    assert mmar.check().spec.train_config["cache"] == "/etc"
    assert arguments(mmar) == [("/etc", "environment.json#/cache")]


@pytest.mark.parametrize("name", ["UNUSED", "_hidden", "//", "#x", "comment"])
def test_what_a_variable_says_of_a_place_outside_is_judged_or_not_handed_over(mmar, name):
    mmar.environment |= {name: "{E}/etc/passwd", "E": "", "/etc/shadow": 1}

    assert arguments(mmar) == []
    assert not {SECRET, "/etc/shadow", "{E}/etc/passwd"} & set(handed(mmar))
    assert mmar.check(settings={name: SECRET}).spec.variables[name] == SECRET


@pytest.mark.parametrize("key", ["_x", "//x", "#x", "comment_x", "_"])
def test_a_comment_is_not_handed_over_and_an_argument_is_no_comment(mmar, key):
    mmar.train["mine"] = [{key: SECRET, "a": 1}]
    assert arguments(mmar) == []
    assert mmar.check().spec.train_config["mine"] == [{"a": 1}]

    mmar.train["train"]["optimizer"]["args"]["deep"] = [{key: SECRET}]
    assert SECRET in [text for text, _ in arguments(mmar)]
    assert SECRET in handed(mmar)


@pytest.mark.parametrize("key", ["ssl_cert", "ssl_x", "servers", "exclude_vars"])
def test_no_key_of_a_trainers_file_is_left_out(mmar, key):
    mmar.train["mine"] = {key: [SECRET]}
    mmar.client["client_trainer"]["args"]["deep"] = {key: SECRET}
    assert [text for text, _ in arguments(mmar)] == [SECRET] * 2


def test_a_key_that_names_a_place_outside_is_an_argument(mmar):
    mmar.train["mine"] = {"deep": [{SECRET: 1}]}
    mmar.client["client_trainer"]["args"]["map"] = {"~/x": 1}
    assert [text for text, _ in arguments(mmar)] == ["~/x", SECRET]


def test_what_is_handed_over_is_what_was_judged(mmar):
    """Whatever leads out among what a component gets stands among the facts."""
    mmar.environment |= {"A": "/etc", "B": "{A}/x", "C": "/unused"}
    mmar.train |= {"top": "{B}", "_note": "/note", "ssl_x": {"servers": ["/s"]}}
    mmar.train["train"]["off"] = {"name": "Net", "disabled": True, "args": {"f": "/off"}}
    mmar.client["client_trainer"]["args"]["x"] = "{A}/y"

    judged = {text for text, _ in arguments(mmar)}

    outside = {text for text in handed(mmar) if text.startswith("/")}
    # What lies below a variable that was told is not told again.
    assert {text for text in outside if not text.startswith("/etc/")} == {"/etc", "/s"} & judged
    assert "/etc/x" in outside


@pytest.mark.parametrize(
    "value",
    [
        {"name": "x", "disabled": True, "sigma": 3},
        {"disabled": True, "args": {}},
        {"name": "x", "disabled": 1},
        {"name": "x", "disabled": "true"},
        {"name": 1, "disabled": True},
        {"name": "x", "disabled": True, "args": []},
    ],
)
def test_what_only_resembles_a_declaration_stays_as_it_is(value):
    assert without_idle_parts({"args": {"a": [value]}}) == {"args": {"a": [value]}}


def test_a_hundred_thousand_texts_are_judged_in_time(mmar):
    mmar.train["mine"] = ["{A}/x", "data/x.nii"] * 20_000
    mmar.environment["A"] = "b"
    started = time.perf_counter()
    assert arguments(mmar) == []
    assert time.perf_counter() - started < 20
    assert json.dumps(mmar.train)
