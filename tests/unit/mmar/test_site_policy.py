# SPDX-License-Identifier: Apache-2.0
"""A site's policy: what it refuses of an MMAR, and what makes it invalid itself."""

from __future__ import annotations

import json

import pytest

from mmar_runner.errors import UsageError

OPTIMIZER = "torch.optim."


@pytest.fixture
def policy(tmp_path):
    path = tmp_path / "site_policy.json"

    def write(**rules):
        value = {"version": 1, "allowed_path_prefixes": [OPTIMIZER], **rules}
        path.write_text(json.dumps(value))
        return path

    return write


def test_what_the_policy_allows_has_no_finding(mmar, policy):
    checked = mmar.check(policy=policy())

    assert checked.report.findings == ()
    assert checked.report.deployable


@pytest.mark.parametrize("prefixes", [[], ["torch.optim"], ["torch.optim.Adam", "torch.nn."]])
def test_a_class_path_needs_its_prefix(mmar, policy, prefixes):
    finding = mmar.only(policy=policy(allowed_path_prefixes=prefixes))

    assert (finding.code, finding.pointer) == ("MMAR701", "/train/optimizer/path")


def test_a_whole_class_path_is_allowed_by_itself(mmar, policy):
    assert mmar.check(policy=policy(allowed_path_prefixes=["torch.optim.SGD"])).report.valid


def test_code_is_refused_allowed_or_accepted_by_digest(mmar, policy):
    mmar.write("custom/mine.py", "class Mine: ...")
    digest = mmar.check().report.digest

    def errors(**rules):
        report = mmar.check(policy=policy(**rules)).report
        return [(f.code, f.file) for f in report.findings if f.severity == "error"]

    assert errors() == [("MMAR702", "custom/mine.py")]
    assert errors(byoc="allow") == []
    assert errors(byoc="digest") == [("MMAR703", "custom/mine.py")]
    assert errors(byoc="digest", accepted_digests=[digest]) == []


def test_a_filter_of_the_sites_own_must_be_installed_and_need_not_be_declared(mmar, policy):
    own = [{"name": "Scale", "args": {"factor": 1}}, "Pack"]
    assert mmar.check(policy=policy(mandatory_filters={"outbound": own})).report.valid

    finding = mmar.only(policy=policy(mandatory_filters={"inbound": ["Packe"]}))

    assert (finding.code, finding.file) == ("MMAR704", "")
    assert "inbound filter Packe" in finding.message
    assert "'Pack'" in finding.hint


@pytest.mark.parametrize(
    ("args", "place", "says"),
    [
        ({"facter": 1, "factor": 1}, "args/facter", "argument 'facter' is unknown here."),
        ({"factor": "a lot"}, "args/factor", "argument 'factor': Expected a number"),
        ({}, "args", "argument 'factor' is missing."),
    ],
)
def test_a_filter_of_the_sites_own_has_the_arguments_that_it_takes(mmar, policy, args, place, says):
    own = [{"name": "Scale", "args": args}]

    finding = mmar.only(policy=policy(mandatory_filters={"outbound": own}))

    assert (finding.code, finding.file) == ("MMAR708", "")
    assert f" /mandatory_filters/outbound/0/{place}: " in finding.message
    assert says in finding.message


def test_a_server_needs_no_filter_of_a_site(mmar, policy):
    rules = policy(mandatory_filters={"outbound": ["Nowhere"]})

    assert mmar.check(policy=rules, side="server").report.valid


def test_a_blocked_mmar_is_refused(mmar, policy):
    digest = mmar.check().report.digest

    finding = mmar.only(policy=policy(blocked_digests=[digest]))

    assert (finding.code, finding.file) == ("MMAR707", "")


def test_an_argument_that_leads_out_of_the_mmar_needs_a_data_folder(mmar, policy):
    mmar.train["train"]["optimizer"]["args"]["cache"] = "{DATA_ROOT}/cache"

    finding = mmar.only(policy=policy())

    assert (finding.code, finding.file) == ("MMAR706", "config/environment.json")
    assert finding.pointer == "/DATA_ROOT"
    assert mmar.check(policy=policy(data_folders=["/data"])).report.valid
    assert mmar.check(policy=policy(), settings={"DATA_ROOT": "/elsewhere"}).report.valid


def test_an_own_data_list_needs_leave(mmar, policy):
    mmar.write("resources/data.json", "{}")
    mmar.train["train"]["data_list_file_path"] = "resources/data.json"

    report = mmar.check(policy=policy()).report

    assert report.custom_datalist
    assert [(f.code, f.pointer) for f in report.findings] == [
        ("MMAR705", ""),
        ("MMAR615", "/train/data_list_file_path"),
    ]
    assert mmar.check(policy=policy(allow_custom_datalist=True)).report.valid


def test_a_weight_for_nobody_is_told(mmar, policy):
    mmar.server["aggregator"]["args"]["aggregation_weights"] = {"site-1": 1, "siet-2": 2}

    finding = mmar.only(policy=policy(clients=["site-1", "site-2"]))

    assert (finding.code, finding.pointer) == (
        "MMAR606",
        "/aggregator/args/aggregation_weights/siet-2",
    )
    assert "'site-2'" in finding.hint
    line = (mmar.root / finding.file).read_text().splitlines()[finding.line - 1]
    assert line[finding.column - 1 :].startswith('"siet-2"')


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "1:2"),
        ('{"version": 1, "version": 1}', "stands twice"),
        ('{"version": 2}', "/version"),
        ('{"version": 1, "byoc": "maybe"}', "/byoc"),
        ('{"version": 1, "byocs": "allow"}', "'byocs' is unknown"),
        ('{"version": 1, "accepted_digests": ["abc"]}', "/accepted_digests/0"),
        ("[]", "object"),
    ],
)
def test_a_policy_with_a_defect_is_refused_as_a_whole(mmar, tmp_path, text, says):
    path = tmp_path / "policy.json"
    path.write_text(text)

    with pytest.raises(UsageError) as caught:
        mmar.check(policy=path)

    assert says in f"{caught.value.message}"
    assert str(path) in caught.value.message


def test_a_policy_that_is_not_there_is_wrong_usage(mmar, tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        mmar.check(policy=tmp_path / "none.json")
