# SPDX-License-Identifier: Apache-2.0
"""Project files: what is read, and every fault at once with its place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mmar_runner.errors import UsageError
from mmar_runner.security.identity import Identity, Role
from mmar_runner.security.provisioning.project_checks import is_host
from mmar_runner.security.provisioning.project_file import load_project

GOOD = """\
name: lungs
server:
  org: university
  cn: fl.example.org
fl_clients:
  - {org: north, client_name: site-1}
admin_clients:
  - {org: university, email: lead@example.org}
"""


@pytest.fixture
def project(tmp_path):
    def load(text):
        path = tmp_path / "project.yml"
        path.write_text(text)
        return load_project(path)

    return load


@pytest.fixture
def faults(project, tmp_path):
    """Return the faults of a text: what follows the file's name."""

    def found(text):
        with pytest.raises(UsageError) as caught:
            project(text)
        assert caught.value.reason == "PROJECT_INVALID"
        name = f"{tmp_path / 'project.yml'}:"
        lines = caught.value.message.splitlines()
        return [line.strip().removeprefix(name) for line in lines if line.strip().startswith(name)]

    return found


def test_a_project_is_read_with_what_it_leaves_out(project):
    read = project(GOOD)

    assert [(p.identity, p.org) for p in read.participants] == [
        (Identity("lungs", Role.SERVER, "fl.example.org"), "university"),
        (Identity("lungs", Role.CLIENT, "site-1"), "north"),
        (Identity("lungs", Role.ADMIN, "lead@example.org"), "university"),
    ]
    assert (read.settings.fed_learn_port, read.settings.admin_port) == (8002, 8003)
    assert (read.settings.min_num_clients, read.settings.max_num_clients) == (2, 100)
    assert read.settings.host_names == ("fl.example.org",)
    assert read.notes == ()


def test_encryption_is_noted_and_left_alone(project):
    (note,) = project(GOOD + "he:\n  lib: tenseal\n  config: {scheme: CKKS}\n").notes

    assert ":9:1 /he" in note


def test_a_real_project_file_is_read_unchanged():
    path = Path(os.environ.get("MMAR_CORPUS", "no-such-folder")) / "project.yml"
    if not path.is_file():
        pytest.skip("MMAR_CORPUS names no folder with a project.yml")
    read = load_project(path)

    assert (read.name, read.server.name) == ("Project1", "localhost")
    assert [client.name for client in read.clients] == ["client1", "client2", "client3", "client4"]
    assert [admin.org for admin in read.admins] == ["nvidia", "org1", "org2", "Secure"]
    assert len(read.notes) == 1


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("name: lungs\n", "", "1:1: 'name' is missing"),
        ("name: lungs", "name: 5", "1:7 /name: Expected text"),
        ("name: lungs", 'name: "lu\\tngs"', "1:7 /name: 'lu\\tngs' must be printable"),
        ("name: lungs", "nmae: lungs", "1:1 /nmae: 'name' is missing; here stands 'nmae'"),
        ("org: university\n  cn", "cn", "3:3 /server: 'org' is missing"),
        ("cn: fl.example.org", "cn: -fl-", "4:7 /server/cn: '-fl-' is neither"),
        ("cn: fl.example.org", "cn: fl/../x", "4:7 /server/cn: 'fl/../x' is neither"),
        ("cn: fl.example.org", "cn: 1.2.3", "4:7 /server/cn: '1.2.3' is neither"),
        ("cn: fl.example.org", "cn: authority", "4:7 /server/cn: 'authority' cannot be"),
        ("cn: fl.", "fed_learn_port: 0\n  cn: fl.", "4:19 /server/fed_learn_port: 0 is below 1"),
        ("cn: fl.", "admin_port: 8002\n  cn: fl.", "4:15 /server/admin_port: fed_learn_port and"),
        ("cn: fl.", "max_num_clients: 1\n  cn: fl.", "4:20 /server/max_num_clients: min_num"),
        ("cn: fl.", "host_names: [ok, ' ']\n  cn: fl.", "4:20 /server/host_names/1: ' ' is"),
        ("org: north, ", "", "6:5 /fl_clients/0: 'org' is missing"),
        ("site-1", "../site", "6:31 /fl_clients/0/client_name: '../site' cannot be"),
        ("site-1", '"site\\n1"', "6:31 /fl_clients/0/client_name: 'site\\n1' cannot be"),
        ("site-1", "Authority", "6:31 /fl_clients/0/client_name: 'Authority' cannot be"),
        ("site-1", "server", "6:31 /fl_clients/0/client_name: 'server' cannot be"),
        ("site-1", ".hidden", "6:31 /fl_clients/0/client_name: '.hidden' cannot be"),
        ("site-1", f"{'x' * 65}", "6:31 /fl_clients/0/client_name: 'xxxx"),
        ("client_name", "clientname", "6:18 /fl_clients/0/clientname: 'client_name' is missing"),
        ("lead@example.org", "lead", "8:30 /admin_clients/0/email: 'lead' is no e-mail"),
        ("lead@example.org", "a/b@example.org", "8:30 /admin_clients/0/email: 'a/b@example.org'"),
        (".org}\n", ".org, roles: [supr]}\n", '8:56 /admin_clients/0/roles/0: "supr" is not one'),
        ("- {org: north", "- {org: north, x: &a !!int 1", "6:21: The tag 'tag:yaml.org,2002:int'"),
    ],
    ids=range(25),
)
def test_a_fault_has_its_place(faults, old, new, fault):
    assert old in GOOD
    found = faults(GOOD.replace(old, new, 1))

    assert any(line.startswith(fault) for line in found), found


@pytest.mark.parametrize("key", ["cn", "host_names"])
@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://fl.example.org:8002", "fl.example.org"),
        ("fl.example.org:8002", "fl.example.org"),
        ("grpc://10.0.0.1/", "10.0.0.1"),
        ("[::1]:8002", "::1"),
        ("fl_example", None),
        ("https://[::1", None),
    ],
)
def test_of_an_address_the_name_is_asked_for(project, key, address, name):
    value = f'"{address}"' if key == "cn" else f'x.org\n  host_names: ["{address}"]'
    with pytest.raises(UsageError, match="is neither a host name") as caught:
        project(GOOD.replace("fl.example.org", value))

    assert (f"Write the name alone: {name}. " in caught.value.hint) is (name is not None)


@pytest.mark.parametrize("name", ["site-1", "SITE-1", "fl.example.org"])
def test_a_name_is_taken_once(faults, name):
    more = f"  - {{org: south, client_name: {name}}}\nadmin_clients"
    (fault,) = faults(GOOD.replace("admin_clients", more))

    assert fault.startswith(f"7:31 /fl_clients/1/client_name: '{name}' is taken: it stands at line")


def test_every_fault_comes_at_once_and_in_order(faults):
    found = faults(
        "name: lungs\nname: again\nserver: {cn: '?', admin_port: 8002, colour: red}\n"
        "fl_clients: [{client_name: ''}, {org: x}]\nadmin_clients: [{org: x, email: y}]\n"
    )

    assert [line.partition(": ")[0] for line in found] == [
        "2:1",
        "3:9 /server",
        "3:14 /server/cn",
        "3:31 /server/admin_port",
        "3:37 /server/colour",
        "4:14 /fl_clients/0",
        "4:28 /fl_clients/0/client_name",
        "4:33 /fl_clients/1",
        "5:33 /admin_clients/0/email",
    ]


@pytest.mark.parametrize("text", ["", "[]", "a", "server: []\nname: x\nfl_clients: {}"])
def test_what_is_no_project_at_all_is_refused(faults, text):
    assert faults(text)


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    for path in (tmp_path / "none.yml", tmp_path):
        with pytest.raises(UsageError, match="cannot be read"):
            load_project(path)


def test_a_file_that_is_not_utf_8_is_told_where_and_what_to_do(tmp_path):
    (tmp_path / "project.yml").write_bytes(b"# a\nname: \xff")
    with pytest.raises(UsageError, match=r"project.yml:2: .*UTF-8") as caught:
        load_project(tmp_path / "project.yml")
    assert (caught.value.reason, bool(caught.value.hint)) == ("PROJECT_INVALID", True)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("localhost", True),
        ("a-b.example.org", True),
        ("10.0.0.1", True),
        ("::1", True),
        ("a" * 64, False),
        ("a..b", False),
        ("a_b", False),
        ("a b", False),
        ("256.1.1.1", False),
        ("", False),
        ("example.org.", False),
        (".".join(["abcdefgh"] * 30), False),
    ],
)
def test_host_names_and_addresses_are_told_from_other_texts(text, answer):
    assert is_host(text) is answer


def test_the_zone_of_an_address_is_no_path_out_of_the_kits():
    assert is_host("fe80::1")
    assert not is_host("fe80::1%/../../outside")
