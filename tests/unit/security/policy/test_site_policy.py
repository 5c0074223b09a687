# SPDX-License-Identifier: Apache-2.0
"""A site's policy file: its defaults, its forms, and the two words a site may add."""

from __future__ import annotations

import json
import multiprocessing
import os
import stat
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mmar_runner.documents.schema_store import load_schema
from mmar_runner.errors import UsageError
from mmar_runner.security.policy.authorization_file import load_authorization
from mmar_runner.security.policy.class_paths import identity_allowed, spelling_allowed
from mmar_runner.security.policy.edit import record_digest
from mmar_runner.security.policy.path_arguments import allowed_argument, leaves_folder
from mmar_runner.security.policy.site_policy import SitePolicy, load_policy
from mmar_runner.security.redaction import Redaction

ONE, TWO = "1" * 64, "2" * 64


@pytest.fixture
def path(tmp_path):
    return tmp_path / "site_policy.json"


def test_an_empty_policy_allows_nothing_that_needs_a_decision(path):
    path.write_text('{"version": 1}')
    made = load_policy(path)

    assert made == SitePolicy()
    assert (made.byoc, made.allowed_path_prefixes, made.data_folders) == ("refuse", (), ())
    assert made.signatures == {"mmar": 1, "byoc": 1}
    assert not made.allow_custom_datalist
    properties = load_schema("site_policy")["properties"]
    assert made.redaction is Redaction.EVERYTHING
    for name in ("byoc", "allow_custom_datalist", "redaction"):
        assert properties[name]["default"] == getattr(made, name)


OWN = Path(__file__).parents[3] / "assets" / "policies" / "authorization.json"


def test_the_other_policy_is_said_to_be_it(path):
    """Every key of it was named as unknown, and near words were proposed."""
    with pytest.raises(UsageError, match="is the project's authorization") as caught:
        load_policy(OWN)
    assert "site_policy.json" in caught.value.hint
    assert caught.value.reason == "POLICY_INVALID"

    path.write_text('{"version": 1, "byoc": "digest"}')
    with pytest.raises(UsageError, match="is a site's own policy; the project's") as caught:
        load_authorization(path)
    assert "authorization.json" in caught.value.hint


def test_a_key_too_many_makes_no_policy_another(path):
    path.write_text('{"version": 1, "byoc": "digest", "sites": {}}')
    with pytest.raises(UsageError, match="'sites'"):
        load_policy(path)


def test_every_key_is_read_with_its_place(path):
    value = {
        "version": 1,
        "signatures": {"byoc": 2},
        "data_folders": ["/data"],
        "blocked_digests": [ONE],
        "mandatory_filters": {"outbound": ["Clip", {"name": "Noise", "args": {"sigma": 1}}]},
    }
    path.write_text(json.dumps(value, indent=1))

    made = load_policy(path)

    assert made.signatures == {"mmar": 1, "byoc": 2}
    assert made.mandatory_filters == {
        "outbound": (
            {"name": "Clip", "args": {}},
            {"name": "Noise", "args": {"sigma": 1}},
        )
    }
    assert str(made.place("data_folders", 0)) == f"{path}:7:3 /data_folders/0"
    assert str(made.place("byoc")) == f"{path}:1:1"  # it is not there


def test_every_key_means_what_its_name_says(path):
    value = {
        "version": 1,
        "allowed_path_prefixes": ["torch.nn.", "monai.losses.DiceLoss"],
        "byoc": "digest",
        "accepted_digests": [ONE],
        "blocked_digests": [TWO],
        "signatures": {"mmar": 3, "byoc": 2},
        "data_folders": ["/data", "/scans"],
        "mandatory_filters": {"inbound": [{"name": "Clip"}]},
        "allow_custom_datalist": True,
        "clients": ["site-1", "site-2"],
        "trainer": {"threads": 2},
    }
    path.write_text(json.dumps(value))
    assert load_policy(path) == SitePolicy(
        allowed_path_prefixes=("torch.nn.", "monai.losses.DiceLoss"),
        byoc="digest",
        accepted_digests=(ONE,),
        blocked_digests=(TWO,),
        signatures={"mmar": 3, "byoc": 2},
        data_folders=("/data", "/scans"),
        mandatory_filters={"inbound": ({"name": "Clip", "args": {}},)},
        allow_custom_datalist=True,
        clients=("site-1", "site-2"),
        trainer={"threads": 2},
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data_folders", ["data"]),
        ("blocked_digests", ["ABC"]),
        ("signatures", {"mmar": 0}),
        ("signatures", {"code": 1}),
        ("mandatory_filters", {"outbound": [{"args": {}}]}),
        ("mandatory_filters", {"outbound": [3]}),
        ("mandatory_filters", {"outward": []}),
        ("signatures", {"mmar": 2.0}),
        ("blocked_digests", [f"{ONE}\n"]),
        ("allowed_path_prefixes", ["torch.*"]),
        ("allowed_path_prefixes", [" torch.nn."]),
        ("allowed_path_prefixes", ["torch"]),
        ("allowed_path_prefixes", ["torch..nn"]),
        ("data_folders", ["/data\n"]),
        ("data_folders", ["/data /lungs"]),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(path, key, value):
    path.write_text(json.dumps({"version": 1, key: value}))

    with pytest.raises(UsageError) as caught:
        load_policy(path)

    assert f"/{key}" in caught.value.message
    assert caught.value.reason == "POLICY_INVALID"


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        (b'{"version": 1,\n "x": "\xff"}', ":2:8: The file is not UTF-8", "Save it as UTF-8"),
        (b'{"version": ' + b"1" * 5000 + b"}", ":1:13: A number", "a usual size"),
        (b"[" * 5000 + b"]" * 5000, ": The file is nested", "fewer levels"),
        (b" " * 30_000_000, " has more than ", "the right file"),
    ],
)
def test_a_policy_beyond_the_limits_is_refused_with_a_mend(path, text, place, hint):
    path.write_bytes(text)

    with pytest.raises(UsageError) as caught:
        load_policy(path)

    assert place in caught.value.message
    assert hint in caught.value.hint


def test_a_prefix_or_folder_that_can_match_nothing_is_told_what_is_meant(path):
    rules = {"allowed_path_prefixes": ["torch.*"], "data_folders": ["/data/", "/", "/my data", "x"]}
    path.write_text(json.dumps({"version": 1, **rules}))

    with pytest.raises(UsageError) as caught:
        load_policy(path)

    _, prefix, folder = caught.value.message.splitlines()
    assert "such as torch.nn., or a whole class path" in prefix
    assert "/data_folders/3:" in folder
    assert "absolute folder" in folder


def test_accepting_keeps_everything_else_and_the_mode(path):
    path.write_text('{"byoc": "allow", "version": 1, "clients": ["ö"], "trainer": {"threads": 2}}')
    path.chmod(0o640)

    change = record_digest(path, ONE, "accept")

    assert change.changed == ("accepted_digests",)
    assert list(json.loads(path.read_text())) == [
        *("byoc", "version", "clients", "trainer", "accepted_digests")
    ]
    assert "ö" in path.read_text()
    written = json.dumps(json.loads(path.read_text()), indent=2, ensure_ascii=False)
    assert path.read_text() == f"{written}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert load_policy(path).accepted_digests == (ONE,)
    assert record_digest(path, ONE, "accept").changed == ()
    assert {file.name for file in path.parent.iterdir()} == {path.name, f".{path.name}.lock"}


def test_the_newest_word_counts(path):
    record_digest(path, ONE, "accept")
    record_digest(path, TWO, "accept")
    record_digest(path, ONE, "block")

    made = load_policy(path)
    assert (made.accepted_digests, made.blocked_digests) == ((TWO,), (ONE,))
    assert made.byoc == "digest"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    record_digest(path, ONE, "accept")
    assert load_policy(path).blocked_digests == ()


def test_of_words_that_are_said_at_once_none_is_lost(path):
    digests = [f"{number:064x}" for number in range(12)]
    with ThreadPoolExecutor(len(digests)) as pool:
        list(pool.map(lambda digest: record_digest(path, digest, "accept"), digests))

    assert sorted(load_policy(path).accepted_digests) == digests


def test_of_words_that_six_processes_say_at_once_none_is_lost(path):
    digests = [f"{number:064x}" for number in range(6)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(digests), mp_context=context) as pool:
        list(pool.map(partial(record_digest, path, verdict="block"), digests))

    assert sorted(load_policy(path).blocked_digests) == digests


@pytest.mark.parametrize("verdict", ["accept", "block"])
@pytest.mark.parametrize("target", ["there.json", "gone.json"])
def test_a_policy_that_is_a_link_is_not_replaced_by_what_little_is_said_now(
    tmp_path, verdict, target
):
    """The filters, blocks and thresholds of the file that it names would count no more."""
    path, there = tmp_path / "site_policy.json", tmp_path / "there.json"
    there.write_text('{"version": 1, "signatures": {"mmar": 2}}')
    before = there.read_bytes()
    path.symlink_to(target)

    with pytest.raises(UsageError) as caught:
        record_digest(path, ONE, verdict)
    assert caught.value.reason == "POLICY_INVALID"
    assert caught.value.hint
    assert path.is_symlink()
    assert there.read_bytes() == before
    assert not (tmp_path / "gone.json").exists()


def test_what_a_process_of_the_same_number_left_is_in_nobodys_way(path):
    path.with_name(f".{path.name}.{os.getpid()}.part").write_bytes(b"half")

    assert record_digest(path, ONE, "accept").changed


def test_a_policy_that_never_ends_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    for endless in (tmp_path / "pipe.json", Path("/dev/zero")):
        with pytest.raises(UsageError, match="not a regular file"):
            load_policy(endless)


def test_blocking_changes_no_other_rule(path):
    assert record_digest(path, ONE, "block").changed == ("blocked_digests",)
    assert load_policy(path).byoc == "refuse"


@pytest.mark.parametrize("digest", ["", "abc", ONE.upper().replace("1", "A"), f"{ONE}1", "../x"])
def test_what_is_no_digest_is_refused(path, digest):
    with pytest.raises(UsageError, match="no digest"):
        record_digest(path, digest, "accept")
    assert not path.exists()


def test_a_policy_that_is_wrong_is_not_written_over(path):
    path.write_text('{"version": 1, "byocs": 1}')
    with pytest.raises(UsageError, match="byocs"):
        record_digest(path, ONE, "block")
    assert path.read_text() == '{"version": 1, "byocs": 1}'


@pytest.mark.parametrize(
    ("dotted", "prefixes", "allowed"),
    [
        ("torch.optim.SGD", ("torch.optim.",), True),
        ("torch.optim", ("torch.optim.",), False),
        ("torch.optimum.SGD", ("torch.optim",), False),
        ("torch.optim.SGD", ("torch.optim.SGD",), True),
        ("torch.optim.SGDX", ("torch.optim.SGD",), False),
        ("os.system", (), False),
    ],
)
def test_a_spelling_needs_a_prefix(dotted, prefixes, allowed):
    assert spelling_allowed(dotted, prefixes) is allowed


@pytest.mark.parametrize(
    ("module", "name", "prefixes", "allowed"),
    [
        ("torch.optim.sgd", "SGD", ("torch.optim.",), True),
        ("torch.optim.sgd", "SGD", ("torch.optim.SGD",), True),
        ("torch.optim.sgd", "SGD", ("torch.optim.Adam",), False),
        ("torch.nn.sgd", "SGD", ("torch.optim.SGD",), False),
        ("torch.optimum", "SGD", ("torch.optim.SGD",), False),
        ("posix", "system", ("torch.optim.",), False),
        ("builtins", "eval", ("torch.",), False),
        ("collections", "OrderedDict", ("torch.nn.",), False),
    ],
)
def test_an_identity_needs_a_prefix_where_the_class_is_defined(module, name, prefixes, allowed):
    assert identity_allowed(module, name, prefixes) is allowed


@pytest.mark.parametrize(
    "text",
    [
        "models/a.pt",
        "a",
        "",
        "..a/b",
        "a..b",
        r"layer\.\d+",
        "^head/.*$",
        "lambda x: x",
        "50%",
        "$",
    ],
)
def test_ordinary_text_names_nothing_outside(text):
    assert not leaves_folder(text)


@given(st.text(alphabet="ab./\\~$: \0", max_size=12), st.sampled_from([(), ("/a",)]))
@example("\\/..", ())
def test_what_is_allowed_lies_below_a_folder_of_the_site_or_inside(text, folders):
    if leaves_folder(text) and allowed_argument(text, folders):
        assert not text.startswith("/") or text.lstrip("/").startswith(("a", ".", "b"))
        assert folders or not text.startswith("/")
        assert "\0" not in text
        assert "\\" not in text
