# SPDX-License-Identifier: Apache-2.0
"""A page of Markdown about older archives: what works here, what differs, what does not."""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.interfaces.catalog import TRAINER_PARTS, ComponentKind
from mmar_runner.mmar import aliases
from mmar_runner.mmar.older.arguments import ARGUMENTS
from mmar_runner.mmar.older.federated import FEDERATED
from mmar_runner.mmar.older.tensorflow import TENSORFLOW

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mmar_runner.interfaces.catalog import ComponentDescription
    from mmar_runner.mmar.older.entry import Older

_HEAD: Final = """# Clara archives: what works

Every name that the MMARs of Clara Train 3.1 (TensorFlow) and 4.0 and 4.1 (PyTorch and MONAI)
declare, and what becomes of it here. With the bundled plugins alone,
`mmar-runner plugins compatibility` prints this page. An archive is read as it is, and what was
upgraded in memory is a note of `validate-mmar`; `mmar-runner upgrade-mmar` writes it down
([how to](../how-to/upgrade-an-mmar.md)).

- **works**: it does the same, under the name that stands beside it.
- **works differently**: it does the same job; the sentence says what is not as it was.
- **needs nothing**: what it did is done anyway, or by something else; it is left out with a note.
- **not available**: an error, which says what to use instead.

Names count by `name` or by any `path` of an older system that ends with them: those that begin
with `medl.`, `nvflare.`, `fed_learn.`, `ai4med.`, `dlmed.` or `nvmidl.`."""

_FEDERATED: Final = """## Federated configurations

`config_fed_server.json` and `config_fed_client.json` of both generations."""

_KEYS: Final = """### Keys without effect

The keys that generation 3.1 called otherwise (`model_saver`, `pre_processors`,
`client.req_processors` and so on) are upgraded whole. These need nothing, in either generation:"""

_ARGUMENTS: Final = """### Arguments

Arguments not named here are those of the component of today."""

_OWN: Final = """### Code of an archive's own

- Classes of generation 4 (an aggregator with `accept` and `aggregate`, a filter, a trainer)
  **work differently**: behind adapters, where the site lets them
  ([what they can import](older-code.md), [how to run them](../how-to/run-old-custom-code.md)).
- Classes of generation 3.1 (an aggregator with `process`, a `PrivacyProtocol` with `apply`, a data
  processor) are **not available**: use a component that is installed, or write the class to
  [an interface of today](plugins.md#kinds).
- Shareable generators, command modules and request processors of an archive's own are **not
  available**: nothing calls them here, and a warning says so (MMAR222)."""

_PARTS: Final = """## Training and validation of generation 4

The parts of `config_train.json` and `config_validation.json`. All of these **work**, by name, and
by `path` every class below the prefixes too; arguments are those of the MONAI, PyTorch Ignite and
PyTorch of today. Functions as text (`"lambda x: x['pred']"`) are read as the few shapes they take,
and never evaluated."""

_UNDECLARABLE: Final = """### Parts that cannot be declared

They are **not available** (MMAR524): each needs an object that no JSON value gives."""

_CHANGED: Final = """### Parts that were renamed, or whose arguments were

They **work differently**: what older archives declare is read as what it is called today, each with
a note (MMAR213)."""

_TENSORFLOW: Final = """## Training and validation of generation 3.1

Not available: these are TensorFlow workflows, and nothing here runs them. One error (MMAR220)
says so. The federated configuration, `environment.json` and the data list are usable as they
are; of the workflow, these parts have counterparts, with other arguments:"""


#: Kinds of parts that workflow files declare.
_WORKFLOW: Final = TRAINER_PARTS - {ComponentKind.CLIENT_ALGO}


def compatibility_page(found: Sequence[ComponentDescription]) -> str:
    """Return the page about older archives.

    Args:
        found: What is installed.
    """
    parts = [_HEAD, _FEDERATED, *_federated()]
    parts += [_KEYS, "\n".join(_keys()), _ARGUMENTS, "\n".join(_arguments())]
    parts += [_OWN, _PARTS, *_parts(found)]
    lost = list(_undeclarable(found))
    parts += [_UNDECLARABLE, "\n".join(lost)] if lost else []
    changed = list(_changed(found))
    parts += [_CHANGED, "\n".join(changed)] if changed else []
    return "\n\n".join([*parts, _TENSORFLOW, *_tensorflow()])


def compatibility_rows() -> list[dict[str, str]]:
    """Return what becomes of every name of federated configurations, for programs."""
    return [
        {
            "name": one.name,
            "what": one.what,
            "generations": one.generations,
            "state": _state(one),
            "became": one.became,
            "told": one.differs or one.needs_nothing or one.instead,
        }
        for one in FEDERATED.values()
    ]


def _state(one: Older) -> str:
    if one.became:
        return "works differently" if one.differs else "works"
    return "needs nothing" if one.needs_nothing else "not available"


def _federated() -> Iterator[str]:
    ranked = sorted(FEDERATED.values(), key=lambda one: _order(one.what))
    for what, members in groupby(ranked, key=lambda one: one.what):
        rows = [f"| `{one.name}` | {one.generations} | {_told(one)} |" for one in members]
        yield f"### {_heading(what)}"
        yield "\n".join(["| name | generation | here |", "|---|---|---|", *rows])


def _told(one: Older) -> str:
    if one.became == one.name:
        return f"**{_state(one)}**" + (f": {one.differs}" if one.differs else "")
    if one.became:
        return f"**{_state(one)}**, as `{one.became}`" + (f": {one.differs}" if one.differs else "")
    return f"**{_state(one)}**: {one.needs_nothing or one.instead}"


def _order(what: str) -> tuple[int, str]:
    kinds = [str(kind) for kind in ComponentKind]
    return (kinds.index(what), "") if what in kinds else (len(kinds), what)


def _heading(what: str) -> str:
    words = what.replace("_", " ")
    return f"{words[:1].upper()}{words[1:]}{'es' if words.endswith('s') else 's'}"


def _keys() -> Iterator[str]:
    yield from ("| key | why |", "|---|---|")
    for key, reason in aliases.IDLE_KEYS.items():
        yield f"| `{key}` | {reason} |"
    names = ", ".join(f"`{key}`" for key in aliases.CERTIFICATE_KEYS)
    yield f"| {names} | certificates come from the start-up kit |"


def _arguments() -> Iterator[str]:
    yield from ("| component | argument | here |", "|---|---|---|")
    for name, rules in ARGUMENTS.items():
        told = {argument: f"dropped: {reason}" for argument, reason in rules.dropped.items()}
        told |= {argument: f"the key `{key}` of the file" for argument, key in rules.to_top.items()}
        told |= {
            argument: f"`{str(value).lower()}` unless declared"
            for argument, value in rules.implied.items()
        }
        if rules.off_if_empty:
            told[rules.off_if_empty] = "empty or `dummy`: the component is left out"
        for argument, words in told.items():
            yield f"| `{name}` | `{argument}` | {words} |"


def _parts(found: Sequence[ComponentDescription]) -> Iterator[str]:
    order = list(ComponentKind)
    of_trainers = [one for one in found if one.kind in _WORKFLOW]
    ranked = sorted(of_trainers, key=lambda one: (order.index(one.kind), one.name))
    for kind, members in groupby(ranked, key=lambda one: one.kind):
        named = [one for one in members if not {"becomes", "undeclarable"} & one.extras.keys()]
        prefixes = [f"`{one.name}`" for one in named if one.path_prefix]
        names = [f"`{one.name}`" for one in named if not one.path_prefix]
        yield f"### {_heading(str(kind))} of generation 4"
        lines = [f"By name: {', '.join(names)}."] if names else []
        lines += [f"By path: classes below {', '.join(prefixes)}."] if prefixes else []
        yield "\n\n".join(lines)


def _undeclarable(found: Sequence[ComponentDescription]) -> Iterator[str]:
    rows = [
        f"| `{one.name}` | {one.kind} | `{stated['argument']}` | {_cell(stated['instead'])} |"
        for one in sorted(found, key=lambda one: (one.kind, one.name))
        if (stated := one.extras.get("undeclarable"))
    ]
    if rows:
        yield from ("| name | kind | needs | instead |", "|---|---|---|---|", *rows)


def _changed(found: Sequence[ComponentDescription]) -> Iterator[str]:
    rows = []
    declarable = [one for one in found if "undeclarable" not in one.extras]
    for one in sorted(declarable, key=lambda one: (one.kind, one.name)):
        told = [f"as `{one.extras['becomes']}`"] if "becomes" in one.extras else []
        told += [words for rule in one.extras.get("upgrades", ()) for words in _rule(rule)]
        if told:
            rows.append(f"| `{one.name}` | {one.kind} | {_cell('; '.join(told))} |")
    if rows:
        yield from ("| name | kind | here |", "|---|---|---|", *rows)


def _rule(rule: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a rule of `upgrades` does to arguments, in words."""
    for old, new in rule.get("rename", {}).items():
        yield f"`{old}` is `{new}`"
    if "into" in rule:
        yield f"`{rule['from']}` is the value of `{rule['into']}`"
    for name in rule.get("drop", ()):
        only = f" if it is {_values(rule['is'])}" if "is" in rule else ""
        yield f"`{name}` is dropped{only}"
    for name, value in rule.get("set", {}).items():
        yield f"`{name}` is `{json.dumps(value)}` unless declared"


def _values(values: Sequence[Any]) -> str:
    return " or ".join(f"`{json.dumps(value)}`" for value in values)


def _tensorflow() -> Iterator[str]:
    for kind, names in TENSORFLOW.items():
        rows = [f"| `{name}` | {counterpart} |" for name, counterpart in names.items()]
        yield f"### {_heading(kind)} of generation 3.1"
        yield "\n".join(["| name | counterpart |", "|---|---|", *rows])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
