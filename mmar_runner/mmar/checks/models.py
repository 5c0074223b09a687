# SPDX-License-Identifier: Apache-2.0
"""Do server and trainer declare the same model?

The persistor makes the first model and the trainer loads it, so a difference shows at
the first round at the latest. Defaults that are written out on one side only are no
difference; where both plugins state the tensors of their networks, those decide whether the
difference is an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.schema_check import show
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.interfaces.nested import nested_places
from mmar_runner.mmar.checks.case import first_present
from mmar_runner.mmar.checks.fit import fitted_arguments
from mmar_runner.mmar.checks.tensors import shapes_of, trained_models, with_defaults
from mmar_runner.mmar.codes import Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.components.resolving import Resolved
    from mmar_runner.mmar.document import Document

_MODEL = ComponentKind.MODEL
_DEEP: Final = "`mmar-runner validate-mmar --deep` builds both and says whether their tensors fit."


def check_models(look: Look) -> None:
    """Compare the persistor's model with the one in the training file."""
    both, train = look.both(), look.files.train
    persistor = look.server_parts.singles.get(("model_persistor",))
    trainer = look.client_parts.singles.get(("client_trainer",))
    if both is None or train is None or persistor is None or trainer is None:
        return
    if look.findings.with_code("MMAR630"):
        return  # the model is wrong for another reason, which was said
    if persistor.description is not None and persistor.description.extras.get("makes_own_model"):
        _own_model(look, persistor, trainer)
        return
    made = _made_by(persistor)
    if made is None:
        return
    for path, declaration in trained_models(look, train):
        if look.findings.has_within(train, path):
            continue  # what is wrong with it may be why they differ
        pair = _Pair(both[0], *made, train, path, declaration)
        if with_defaults(look, pair.made) != with_defaults(look, pair.trained):
            _differ(look, pair, _verdict(look, pair, persistor))


@dataclass(frozen=True, slots=True)
class _Pair:
    """The model that the server makes, and the one that is trained, with their places."""

    server: Document
    made_at: JsonPath
    made: Mapping[str, Any]
    train: Document
    trained_at: JsonPath
    trained: Mapping[str, Any]


class _Verdict(Enum):
    """What it means that declarations differ."""

    MISFIT = "the trainer certainly cannot load the server's model"
    FIT = "it certainly can, or need not"
    UNKNOWN = "only whoever builds both networks knows"

    @property
    def severity(self) -> Severity | None:
        """In place of the code's own."""
        return Severity.ERROR if self is _Verdict.MISFIT else None

    def mend(self, hint: str) -> str:
        """Return a hint with what is to be done besides."""
        return f"{hint} {_DEEP}" if self is _Verdict.UNKNOWN else hint


def _verdict(look: Look, pair: _Pair, persistor: Resolved) -> _Verdict:
    """Return what it means that the declarations of two models differ."""
    checkpoint = pair.server.value.get("ckpt_preload_path")
    if isinstance(checkpoint, str) and checkpoint.endswith(".safetensors"):
        return _Verdict.FIT  # the run begins with that, whatever the server would make
    extras = persistor.description.extras if persistor.description is not None else {}
    if persistor.spec is not None and persistor.spec.args.get(extras.get("leaves_out", "")):
        return _Verdict.UNKNOWN  # which of its tensors are shared is not known
    made, trained = shapes_of(look, pair.made), shapes_of(look, pair.trained)
    if made is None or trained is None:
        return _Verdict.UNKNOWN
    fits = all(trained.get(name) == shape for name, shape in made.items())
    return _Verdict.FIT if fits else _Verdict.MISFIT


def _differ(look: Look, pair: _Pair, verdict: _Verdict) -> None:
    """Say in which argument the models differ, at the side that is wrong if that is known."""
    made, theirs = with_defaults(look, pair.made)
    trained, ours = with_defaults(look, pair.trained)
    names = [n for n in ours.keys() | theirs.keys() if ours.get(n) != theirs.get(n)]
    if made != trained or len(names) != 1 or names[0] not in ours.keys() & theirs.keys():
        message = "This is not the model that the server's model_persistor makes."
        hint = "Declare the same model with the same arguments on both sides."
        path, told = pair.trained_at, verdict.mend(hint)
        severity = verdict.severity
        look.findings.at(pair.train, path, "MMAR623", message, hint=told, severity=severity)
        return
    name = names[0]
    fitted = name in fitted_arguments(look)  # data and loss say that the trained one is right
    document, at = (pair.server, pair.made_at) if fitted else (pair.train, pair.trained_at)
    other = pair.train if fitted else pair.server
    value, wanted = (one[name] for one in ((theirs, ours) if fitted else (ours, theirs)))
    message = f"'{name}' is {show(value)} here and {show(wanted)} in {other.file}."
    also = "" if fitted else ", or change the other file"
    hint = verdict.mend(f"Declare the same model on both sides: write {show(wanted)}{also}.")
    path = first_present(document, (*at, "args", name), at)
    hint = document.explain(path, hint) or hint
    severity = verdict.severity
    look.findings.at(document, path, "MMAR623", message, hint=hint, severity=severity)


def _own_model(look: Look, persistor: Resolved, trainer: Resolved) -> None:
    """A persistor that makes a model of its own makes nothing for a trainer of declared ones."""
    if trainer.description is None or look.server is None or persistor.spec is None:
        return
    if _MODEL in trainer.description.extras.get("train_parts", {}).values():
        message = (
            f"'{persistor.spec.name}' makes a model of its own, not that of config_train.json."
        )
        hint = f"Declare a model_persistor that makes the model that '{_name(trainer)}' trains."
        look.findings.at(look.server, ("model_persistor",), "MMAR623", message, hint=hint)


def _name(part: Resolved) -> str:
    return part.description.name if part.description is not None else ""


def _made_by(persistor: Resolved) -> tuple[JsonPath, Mapping[str, Any]] | None:
    """Return place and declaration of the only model in a persistor's arguments, or None."""
    if persistor.spec is None or persistor.description is None:
        return None
    args = dict(persistor.spec.args)
    found = [
        p for p, kind in nested_places(persistor.description.args_schema, args) if kind == _MODEL
    ]
    if len(found) != 1:
        return None
    value: Any = args
    for part in found[0]:
        value = value[part]
    declaration: Mapping[str, Any] = value
    return ("model_persistor", "args", *found[0]), declaration
