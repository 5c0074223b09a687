# SPDX-License-Identifier: Apache-2.0
"""What a component says of its network, as it goes over a pipe; checked where it arrives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mmar_runner.children.messages import is_name
from mmar_runner.errors import TaskFailedError
from mmar_runner.interfaces.network_facts import NetworkFacts, TensorFacts

#: More tensors, and more dimensions, than a network has that anybody trains.
_TENSORS: Final = 1_000_000
_DIMENSIONS: Final = 32
#: Numbers beyond it are no sizes of anything.
_LARGEST: Final = 1 << 62
#: More clients than any aggregator is defined for, and more tensors than it keeps for one.
_CLIENTS: Final = 1_000_000
_SLOTS: Final = 1000
#: What an update can be made whole numbers of.
_WHOLE: Final = (None, "I32", "I64")
#: Letters of a note that are kept.
_NOTE: Final = 1000


@dataclass(frozen=True, slots=True)
class RuleFacts:
    """What an aggregator says of the model that it is to work on.

    Attributes:
        takes: The type of whole numbers that updates are made of, or None.
        slots: How many tensors it keeps for each floating one of the model.
        excluded: Names of tensors that it leaves as they are.
        least: The fewest updates that it is defined for.
    """

    takes: str | None = None
    slots: int = 0
    excluded: frozenset[str] = frozenset()
    least: int = 1


def facts_to_json(facts: NetworkFacts | None, *, why: str = "") -> dict[str, Any]:
    """Return the facts as a JSON object; ``known`` says whether there are any.

    Args:
        facts: What is known.
        why: Why nothing is, or empty.
    """
    if facts is None:
        return {"known": False, "why": why}
    return {
        "known": True,
        "tensors": [[name, one.dtype, list(one.shape)] for name, one in facts.tensors.items()],
        "takes_any": facts.takes_any,
        "by_name": facts.by_name,
        "kept": sorted(facts.kept),
        "memory": {name: int(count) for name, count in facts.memory.items()},
        "note": facts.note,
    }


def read_facts(answer: Mapping[str, Any]) -> NetworkFacts | None:
    """Return the facts in an answer that `facts_to_json` made, or whatever pretends to be it.

    Raises:
        TaskFailedError: They are no facts.
    """
    match answer:
        case {"known": False}:
            return None
        case {
            "known": True,
            "tensors": list(tensors),
            "takes_any": bool(takes_any),
            "by_name": bool(by_name),
            "kept": list(kept),
            "memory": dict(memory),
            "note": str(note),
        } if (
            len(tensors) <= _TENSORS
            and _are_names([*kept, *memory, note])
            and all(map(_size, memory.values()))
        ):
            found = dict(_tensor(one) for one in tensors)
            if len(found) < len(tensors):
                raise TaskFailedError("the child described two tensors of one name")
            return NetworkFacts(
                found,
                takes_any=takes_any,
                by_name=by_name,
                kept=frozenset(kept),
                memory=memory,
                note=note[:_NOTE],
            )
    raise TaskFailedError("the child answered with what describes no network")


def read_reason(answer: Mapping[str, Any]) -> str:
    """Return why an answer that `facts_to_json` made holds no facts; empty if it does not say.

    Raises:
        TaskFailedError: What stands there is no text.
    """
    match answer:
        case {"known": False, "why": str(why)} if is_name(why):
            return why[:_NOTE]
        case {"known": False, "why": _}:
            raise TaskFailedError("the child gave a reason that is no text")
    return ""


def read_rule(answer: Mapping[str, Any]) -> RuleFacts:
    """Return what an aggregator said.

    Raises:
        TaskFailedError: It is none of it.
    """
    match answer:
        case {
            "takes": takes,
            "slots": slots,
            "excluded": list(excluded),
            "least": least,
        } if (
            takes in _WHOLE
            and _size(slots, _SLOTS)
            and _size(least, _CLIENTS)
            and _are_names(excluded)
        ):
            return RuleFacts(takes, slots, frozenset(excluded), least)
    raise TaskFailedError("the child answered with what says nothing of an aggregator")


def _tensor(stated: object) -> tuple[str, TensorFacts]:
    match stated:
        case [str(name), str(dtype), list(shape)] if (
            len(shape) <= _DIMENSIONS and _are_names([name, dtype]) and all(map(_size, shape))
        ):
            return name, TensorFacts(dtype, tuple(shape))
    raise TaskFailedError(f"the child answered with {str(stated)[:80]!a}, which is no tensor")


def _are_names(found: list[Any]) -> bool:
    return all(isinstance(name, str) and is_name(name) for name in found)


def _size(value: object, most: int = _LARGEST) -> bool:
    return type(value) is int and 0 <= value < most
