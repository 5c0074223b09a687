# SPDX-License-Identifier: Apache-2.0
"""What of an MMAR's networks does not go together, as findings where they are declared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mmar_runner.deep.comparing import Sort, differences
from mmar_runner.deep.places import CHECKPOINT, made_model, server_place, trained_model
from mmar_runner.mmar.codes import Severity

if TYPE_CHECKING:
    from mmar_runner.deep.asking import Answers
    from mmar_runner.mmar.checks.case import Look
    from mmar_runner.mmar.spec import MmarSpec

_CODES: Final = {
    Sort.MISSING: "MMAR662",
    Sort.SHAPE: "MMAR663",
    Sort.DTYPE: "MMAR664",
    Sort.EXTRA: "MMAR665",
}
_CHECKPOINT: Final = "Name a checkpoint of this network, or declare the network it was made of"
_COMES_BACK: Final = (
    "Declare the same network on both sides; until then these tensors come back from every site as "
    "they left."
)
_STAYS: Final = (
    "Declare the same network on both sides; or, if they are to stay at each site, name them in "
    "the trainer's exclude_vars."
)


def compare(look: Look, spec: MmarSpec, answers: Answers) -> None:
    """Compare what meets in the first round: what the run begins with, and the trainer's network.

    Args:
        look: The MMAR, and where findings go.
        spec: What it says.
        answers: What its networks are, as far as that is known.
    """
    client = None if answers.client is None or answers.client.takes_any else answers.client
    if answers.checkpoint is not None:
        _checkpoint(look, answers)
    elif answers.server is not None and client is not None and not _begins_elsewhere(spec):
        _server(look, spec, answers)


def _begins_elsewhere(spec: MmarSpec) -> bool:
    """Return whether a run begins with tensors that nobody compares with the persistor's."""
    named = spec.server.checkpoint if spec.server is not None else None
    return named is not None and named.endswith(".safetensors")


def _server(look: Look, spec: MmarSpec, answers: Answers) -> None:
    """Compare the persistor's network with the trainer's."""
    place, other = trained_model(look), made_model(look)
    if answers.server is None or answers.client is None or place is None or other is None:
        return
    found = differences(answers.server.tensors, answers.client.tensors)
    same = f"Declare the same network here and in {other.words}."
    for one in found:
        if one.sort is Sort.EXTRA and (
            _leaves_out(look, spec) or answers.client.kept.issuperset(one.names)
        ):
            continue  # they are not in the global model because the MMAR says so
        message = one.sentence("the server's model", "the trainer's network")
        severity, hint = None, _STAYS if one.sort is Sort.EXTRA else same
        if one.sort is Sort.MISSING and answers.client.by_name:
            severity, hint = Severity.WARNING, _COMES_BACK
        text = f"{message[0].upper()}{message[1:]}"
        place.find(look, _CODES[one.sort], text, hint, severity=severity)
    if found:
        # That their declarations differ is the same, said before it was known to matter.
        look.findings.remove(look.findings.with_code("MMAR623"))


def _leaves_out(look: Look, spec: MmarSpec) -> bool:
    """Return whether the persistor leaves tensors out of the global model."""
    made = look.server_parts.singles.get(("model_persistor",))
    if made is None or made.description is None or spec.server is None or made.spec is None:
        return False
    return bool(made.spec.args.get(made.description.extras.get("leaves_out", "")))


def _checkpoint(look: Look, answers: Answers) -> None:
    """Compare a checkpoint with the networks of both sides."""
    place = server_place(look, CHECKPOINT)
    if place is None or answers.checkpoint is None:
        return
    said = set[Sort]()
    if answers.client is not None and not answers.client.takes_any:
        trained = trained_model(look)
        where = "" if trained is None else f" ({trained.words})"
        lenient = {Sort.EXTRA, Sort.MISSING} if answers.client.by_name else {Sort.EXTRA}
        for one in differences(answers.checkpoint.tensors, answers.client.tensors):
            if one.sort is Sort.EXTRA and answers.client.kept.issuperset(one.names):
                continue
            message = one.sentence("the checkpoint", f"the trainer's network{where}")
            severity = Severity.WARNING if one.sort in lenient else None
            text = f"{message[0].upper()}{message[1:]}"
            place.find(look, "MMAR640", text, f"{_CHECKPOINT}.", severity=severity)
            said.add(one.sort)
    if answers.server is not None:
        made = made_model(look)
        where = "" if made is None else f" ({made.words})"
        for one in differences(answers.checkpoint.tensors, answers.server.tensors):
            if one.sort in said:
                continue
            message = one.sentence("the checkpoint", f"the server's network{where}")
            text = f"{message[0].upper()}{message[1:]}"
            place.find(look, "MMAR640", text, f"{_CHECKPOINT}.", severity=Severity.WARNING)
