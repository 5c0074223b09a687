# SPDX-License-Identifier: Apache-2.0
"""Command modules of plugins: which are offered, and that a bad one harms no server."""

import logging

import pytest

from mmar_runner.admin.modules.installed import installed_modules
from mmar_runner.admin.modules.offer import Offer
from mmar_runner.admin.modules.training import TrainingCommands
from mmar_runner.errors import ComponentFailedError, PluginConflictError, UsageError
from mmar_runner.hooks.registry import ComponentRegistry
from mmar_runner.interfaces.admin_cmd_module import AdminCmdModule
from mmar_runner.interfaces.admin_command import CommandCall, CommandSpec, Targets
from mmar_runner.interfaces.admin_event import Table, Text, Value
from mmar_runner.testing.quiet_operations import QuietOperations


class Greets(AdminCmdModule):
    names = ("greet",)

    def get_commands(self):
        return [CommandSpec(name, "Greet.") for name in self.names]

    async def execute(self, call, operations):
        yield Text("hello")
        yield Value({"clients": operations.get_client_names()})


class Raises(Greets):
    names = ("raise_it",)

    async def execute(self, call, operations):
        yield Text("before")
        raise KeyError("patient 4711")


class Refuses(Greets):
    names = ("refuse",)

    async def execute(self, call, operations):
        raise UsageError("not now", hint="later", reason="LATER")
        yield


class YieldsNonsense(Greets):
    names = ("nonsense",)

    async def execute(self, call, operations):
        yield Table(("a",), [[1]])


class YieldsWhatIsNoJson(Greets):
    names = ("no_json",)

    async def execute(self, call, operations):
        yield Value({"a": object()})


class IsNoGenerator(Greets):
    names = ("no_generator",)

    def execute(self, call, operations):
        return None


class FailsToBegin(Greets):
    def __init__(self):
        raise RuntimeError("no database")


class NamesNothing(Greets):
    def get_commands(self):
        raise RuntimeError("broken")


class NamesWords(Greets):
    def get_commands(self):
        return ["hello"]


class IsNone:
    pass


CLASSES = [
    *(Greets, Raises, Refuses, YieldsNonsense, YieldsWhatIsNoJson, IsNoGenerator),
    *(FailsToBegin, NamesNothing, NamesWords, IsNone),
]
GOOD = {"greet", "raise_it", "refuse", "nonsense", "no_json", "no_generator"}


@pytest.fixture
def catalog():
    registry = ComponentRegistry()
    for one in CLASSES:
        name = one.__name__
        target = f"{__name__}:{name}"
        registry.add(kind="admin_cmd_module", name=name, target=target, summary="A module.")
    return registry


def names(modules):
    return {spec.name for module in modules for spec in module.get_commands()}


def test_all_that_are_installed_are_offered_and_bad_ones_are_named(catalog, caplog):
    with caplog.at_level(logging.WARNING):
        assert names(installed_modules(catalog, None)) == GOOD
    for bad in (FailsToBegin, NamesNothing, NamesWords, IsNone):
        assert f"the command module {bad.__name__} is not offered" in caplog.text


def test_the_servers_policy_names_those_that_are_offered(catalog, caplog):
    assert names(installed_modules(catalog, ("Greets",))) == {"greet"}
    assert installed_modules(catalog, ()) == []
    with caplog.at_level(logging.WARNING):
        assert names(installed_modules(catalog, ("Greets", "Greet"))) == {"greet"}
    assert "'Greet', which is not installed" in caplog.text


async def events(catalog, name):
    (module,) = installed_modules(catalog, (name,))
    (spec,) = module.get_commands()
    call = CommandCall(spec, "lead@a.org", Targets(server=True))
    return [event async for event in module.execute(call, QuietOperations())]


async def test_a_good_one_is_carried_out(catalog):
    assert await events(catalog, "Greets") == [
        Text("hello"),
        Value({"clients": ["site-1", "site-2"]}),
    ]


@pytest.mark.parametrize(
    "name", ["Raises", "YieldsNonsense", "YieldsWhatIsNoJson", "IsNoGenerator"]
)
async def test_one_that_fails_says_so_and_no_more(catalog, name, caplog):
    with caplog.at_level(logging.ERROR), pytest.raises(ComponentFailedError) as caught:
        await events(catalog, name)
    assert "patient" not in caught.value.message
    assert name in caught.value.message
    assert caught.value.reason == "COMPONENT_FAILED"
    assert "Traceback" in caplog.text


async def test_an_error_of_ours_is_told_as_it_is(catalog):
    with pytest.raises(UsageError, match="not now") as caught:
        await events(catalog, "Refuses")
    assert caught.value.reason == "LATER"


def test_two_modules_with_one_command_are_an_error(catalog):
    (greets,) = installed_modules(catalog, ("Greets",))
    with pytest.raises(PluginConflictError, match="'greet'"):
        Offer([greets, Greets()])
    with pytest.raises(PluginConflictError, match="'deploy'"):
        Offer([TrainingCommands(), type("Takes", (Greets,), {"names": ("deploy",)})()])
