# SPDX-License-Identifier: Apache-2.0
"""What every admin command module must do."""

from __future__ import annotations

import asyncio
import json
import re
from abc import ABC, abstractmethod
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, ClassVar, Final

from mmar_runner.documents.schema_check import faults
from mmar_runner.documents.schema_store import load_schema
from mmar_runner.errors import MmarRunnerError
from mmar_runner.interfaces.admin_command import CommandSpec
from mmar_runner.orders.commands import BUILT_IN, by_name
from mmar_runner.orders.typed import split, understood
from mmar_runner.testing.contracts.laws import hold, same
from mmar_runner.testing.quiet_operations import QuietOperations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mmar_runner.interfaces.admin_cmd_module import AdminCmdModule
    from mmar_runner.interfaces.server_operations import ServerOperations

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_ARGUMENT: Final = re.compile(r"[A-Z][A-Z0-9_]*")
_USER: Final = "lead@example.org"


class AdminCmdModuleContract(ABC):
    """A command module names its commands, and answers each with events and a result.

    Attributes:
        built_in: Whether its commands are those that every server has.
    """

    built_in: ClassVar[bool] = False

    @abstractmethod
    def make(self) -> AdminCmdModule:
        """Return a new command module."""

    def operations(self) -> ServerOperations:
        """Return the federation that the examples are tried on."""
        return QuietOperations()

    def test_commands(self) -> None:
        """At least one, each a word of its own, none twice, and the same whenever asked."""
        module = self.make()
        commands = self._specs(module)
        names = [spec.name for spec in commands]
        law = "A command module names its commands"
        hold(law, names, expected="at least one", got=names)
        words = all(_NAME.fullmatch(name) for name in names)
        hold(law, words, expected="words of small letters, digits and _", got=names)
        hold(law, len(set(names)) == len(names), expected="none twice", got=names)
        taken = [name for name in names if name in BUILT_IN and not self.built_in]
        hold(law, not taken, expected="none that every server has", got=taken)
        again = [spec.name for spec in self._specs(module)]
        same("A command module names the same commands whenever asked", names, again)

    def test_specifications(self) -> None:
        """Each says what it does, and a console understands it."""
        for spec in self._specs(self.make()):
            law = f"The command {spec.name} says in a sentence what it does"
            sentence = spec.summary.endswith(".") and "\n" not in spec.summary
            hold(law, sentence, expected="one line with a full stop", got=spec.summary)
            law = f"The specification of {spec.name} travels as JSON"
            told = json.loads(json.dumps(spec.to_json(), allow_nan=False))
            same(law, spec, CommandSpec.from_json(told))
            parameters = (*spec.parameters, *spec.after_target)
            law = f"Arguments of {spec.name} are named in capitals, none twice"
            named = [one.name for one in parameters]
            sound = all(_ARGUMENT.fullmatch(name) for name in named)
            hold(law, sound and len(set(named)) == len(named), expected="names", got=named)
            law = f"Of {spec.name} only its last arguments may be left out, and the last be several"
            optional = [one.optional for one in spec.parameters]
            several = [one.many for one in spec.parameters]
            good = sorted(optional) == optional and not any(several[:-1])
            hold(law, good, expected="that", got=named)

    def test_examples(self) -> None:
        """Each command without arguments aside, there is an example, and it is understood."""
        module = self.make()
        for spec in self._specs(module):
            law = f"The command {spec.name} has an example"
            needed = spec.parameters or spec.free or spec.after_target
            hold(law, spec.examples or not needed, expected="one", got=spec.examples)
            for example in spec.examples:
                words = words_of(example)
                law = f"The example {example!r} is of {spec.name}"
                hold(law, words[:1] == [spec.name], expected="that", got=words)
                _understood(module, words)

    def test_execution(self) -> None:
        """Every example gives events, and a `Value` as the last of them."""
        for line in self._lines():
            module = self.make()
            call = _understood(module, words_of(line))
            try:
                events = asyncio.run(self._events(module, call))
            except MmarRunnerError:
                continue  # it cannot be done here, and says so
            kinds = load_schema("admin_event")["$defs"]
            for event in events:
                law = f"{line!r} yields events that fit the schema admin_event"
                known = event["kind"] in kinds and event["kind"] != "end"
                hold(law, known, expected="a kind of event", got=event)
                found = faults(kinds[event["kind"]], json.loads(json.dumps(event)))
                hold(law, not found, expected="no fault", got=found)
            law = f"{line!r} yields a Value at its end"
            hold(law, events and events[-1]["kind"] == "value", expected="one", got=events[-1:])

    def _lines(self) -> list[str]:
        specs = self._specs(self.make())
        return [line for spec in specs for line in spec.examples or (spec.name,)]

    async def _events(self, module: AdminCmdModule, call: Any) -> list[Mapping[str, Any]]:
        async with aclosing(module.execute(call, self.operations())) as events:  # type: ignore[type-var]
            return [event.to_json() async for event in events]

    @staticmethod
    def _specs(module: AdminCmdModule) -> Sequence[CommandSpec]:
        specs = list(module.get_commands())
        law = "Commands are specifications"
        good = all(isinstance(spec, CommandSpec) for spec in specs)
        hold(law, good, expected="CommandSpec objects", got=specs)
        return specs


def words_of(example: str) -> list[str]:
    """Return the words of an example without its remark."""
    return split(example.partition("  #")[0])


def _understood(module: AdminCmdModule, words: Sequence[str]) -> Any:
    try:
        return understood(words, by_name(module.get_commands()), _USER)
    except MmarRunnerError as error:
        hold("An example is understood", False, expected="a call", got=error.message)  # noqa: FBT003
        raise
