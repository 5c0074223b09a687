# SPDX-License-Identifier: Apache-2.0
"""The configuration files of one MMAR: read, substituted, upgraded, checked for shape."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from mmar_runner.documents.schema_check import faults
from mmar_runner.documents.schema_store import load_schema
from mmar_runner.mmar.document import Document
from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.reading import read_document
from mmar_runner.mmar.sources.canonical import canonical_client, canonical_server
from mmar_runner.mmar.sources.generation import generation_of
from mmar_runner.mmar.sources.handed_over import without_idle_parts
from mmar_runner.mmar.sources.renewal import renew_client, renew_server
from mmar_runner.mmar.sources.substitution import substitute
from mmar_runner.mmar.sources.tensorflow import is_own_trainer, mark_of
from mmar_runner.mmar.sources.upgrade import upgrade_client, upgrade_server
from mmar_runner.mmar.sources.variables import (
    LEAST_CLIENTS,
    NUMBERS,
    Variables,
    circles,
    is_scalar,
    is_whole,
)
from mmar_runner.mmar.spec import Generation

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.documents.schema_check import Fault
    from mmar_runner.mmar.folder import MmarFolder

Side = Literal["server", "client", "all"]

SERVER = "config/config_fed_server.json"
CLIENT = "config/config_fed_client.json"
TRAIN = "config/config_train.json"
VALIDATION = "config/config_validation.json"
VALIDATION_CKPT = "config/config_validation_ckpt.json"
ENVIRONMENT = "config/environment.json"

_FAULT_CODES = {
    "required": "MMAR401",
    "type": "MMAR402",
    "value": "MMAR403",
    "unknown": "MMAR404",
}
_OWN_KEYS = frozenset(
    {"workflow", "clients_per_round", "round_deadline", "max_wait", "validate_every", "strict"}
    | {"combiners", "max_num_samples", "update_codec", "compression", "cross_site_validation"}
)


#: The code of a variable that nothing defines.
UNDEFINED: Final = "MMAR301"
_SITES = "NUM_SITES"
#: Keys of older client files that are arguments of the trainer now.
_TRAINER_KEYS = frozenset({"local_epochs", "steps_aggregation"})


@dataclass(slots=True)
class Sources:
    """The files, in canonical form; a file that is not there or not readable is None.

    Attributes:
        generation: Of the federated configuration; None if it is another system's.
        variables: What was substituted.
        parsed: Every file as it is on disk.
        sound: The files whose shape is right.
        tensorflow: Workflow files that are TensorFlow's, each with the place that shows it;
            they are not among those above.
    """

    generation: Generation | None
    variables: Variables
    parsed: Mapping[str, Document]
    server: Document | None = None
    client: Document | None = None
    train: Document | None = None
    validation: Document | None = None
    sound: set[str] = field(default_factory=set)
    tensorflow: list[tuple[Document, JsonPath]] = field(default_factory=list)

    def documents(self) -> list[Document]:
        """Return the files in canonical form."""
        every = (self.server, self.client, self.train, self.validation)
        return [document for document in every if document is not None]


def parse_files(folder: MmarFolder, findings: Findings) -> dict[str, Document]:
    """Read every JSON file directly in ``config/``."""
    parsed = {}
    for file in folder.files:
        if file.startswith("config/") and file.count("/") == 1 and file.endswith(".json"):
            document = read_document(folder, file, findings)
            if document is not None:
                parsed[file] = document
    return parsed


def prepare(
    parsed: Mapping[str, Document],
    settings: Mapping[str, Any],
    client_name: str,
    findings: Findings,
) -> Sources:
    """Substitute, upgrade and check the shape of parsed files, which stay as they are."""
    environment, spoiled = _environment(parsed.get(ENVIRONMENT), settings, findings)
    _own_numbers(parsed.get(ENVIRONMENT), settings, findings)
    variables = Variables(environment, settings, client_name, spoiled=spoiled)
    places = _places(parsed.get(ENVIRONMENT), environment.keys(), settings)
    sources = Sources(None, variables, parsed)
    sources.server = _open(sources, SERVER, places, findings)
    sources.client = _open(sources, CLIENT, places, findings)
    sources.train = _workflow(sources, TRAIN, places, findings)
    validation = VALIDATION if VALIDATION in parsed else VALIDATION_CKPT
    sources.validation = _workflow(sources, validation, places, findings)
    _to_canonical_form(sources, findings)
    for one in sources.documents():
        findings.forget_unread(one, UNDEFINED)
    for document, name in (
        (sources.server, "config_fed_server"),
        (sources.client, "config_fed_client"),
        (sources.train, "config_train"),
        (sources.validation, "config_validation"),
    ):
        if document is not None and check_shape(document, name, findings):
            sources.sound.add(document.file)
    return sources


def check_shape(document: Document, schema: str | Mapping[str, Any], findings: Findings) -> bool:
    """Check a document against a schema; return True if it may be used."""
    rules = load_schema(schema) if isinstance(schema, str) else schema
    sound = True
    for fault in faults(rules, document.value):
        code = _code(fault)
        if code != _FAULT_CODES["unknown"]:
            sound = False
        if document.is_unresolved(fault.path):
            findings.raise_severity(document, fault.path, "MMAR301")
            continue
        # A key is wrong whatever its value came from.
        of_type = fault.kind == "type"
        told = document.explain(fault.path, fault.hint, of_type=of_type)
        hint = fault.hint if fault.at_key else told
        if fault.kind == "unknown" and fault.member in _OWN_KEYS and len(fault.path) > 1:
            hint = f"'{fault.member}' stands at the top level of the file."
        if fault.kind == "unknown" and fault.member in _TRAINER_KEYS and document.file == CLIENT:
            hint = f"'{fault.member}' is an argument of client_trainer."
        if fault.kind == "unknown" and len(fault.path) == 1:
            hint = _of_other_file(document.file, str(fault.member)) or hint
        where = _place(fault.path[:-1] if fault.at_key else fault.path)
        message = where + fault.message
        variable = None if fault.at_key else document.variable_at(fault.path)
        findings.at(
            document,
            fault.path,
            code,
            message,
            hint=hint,
            key=fault.at_key,
            cause=None if variable is None else (variable, fault.message),
        )
    return sound


def _code(fault: Fault) -> str:
    """Return the code of a fault; an argument that nobody takes makes whoever gets it fail."""
    is_argument = fault.kind == "unknown" and fault.path[-2:-1] == ("args",)
    return "MMAR512" if is_argument else _FAULT_CODES[fault.kind]


def _of_other_file(file: str, key: str) -> str | None:
    """Return a hint if a key belongs into the other side's file."""
    other = {SERVER: CLIENT, CLIENT: SERVER}.get(file)
    if other is None:
        return None
    schema = load_schema(other.removeprefix("config/").removesuffix(".json"))
    known = key in schema["properties"] and key not in load_schema(
        file.removeprefix("config/").removesuffix(".json")
    ).get("properties", {})
    return f"'{key}' belongs into {other}." if known else None


def _place(path: tuple[str | int, ...]) -> str:
    names = [str(part) for part in path if isinstance(part, str)]
    return f"{names[-1]}: " if names else ""


def _environment(
    document: Document | None, settings: Mapping[str, Any], findings: Findings
) -> tuple[dict[str, Any], frozenset[str]]:
    """Return the variables that environment.json defines, and those it fails to define."""
    if document is None:
        return {}, frozenset()
    check_shape(document, "environment", findings)
    good = {
        key: value
        for key, value in document.value.items()
        if is_scalar(value) and not document.in_doubt((key,))
    }
    for circle in circles(good, settings.keys()):
        names = " -> ".join((*circle, circle[0]))
        message = f"Variables refer to each other in a circle: {names}."
        findings.at(document, (circle[0],), "MMAR302", message)
        for name in circle:
            del good[name]
    return good, frozenset(document.value.keys() - good.keys())


def _places(
    environment: Document | None, defined: AbstractSet[str], settings: Mapping[str, Any]
) -> dict[str, str]:
    """Return in words where the variables of environment.json stand."""
    if environment is None:
        return {}
    given = _SITES in environment.value or _SITES in settings
    names = defined - settings.keys()
    lines = {name: environment.source.locate((name,))[0] for name in names}
    places = {name: f"{ENVIRONMENT}, line {line}" for name, line in lines.items()}
    if LEAST_CLIENTS in places and not given:
        places[_SITES] = f"from {LEAST_CLIENTS}, {places[LEAST_CLIENTS]}"
    return places


def _own_numbers(
    document: Document | None, settings: Mapping[str, Any], findings: Findings
) -> None:
    """Say that the runner's own variables are whole numbers; anything else is not taken."""
    for name in NUMBERS:
        message = f"{name} must be a whole number; what the runner knows is taken instead."
        if name in settings:
            if not is_whole(settings[name]):
                findings.add("MMAR402", message)
        elif document is not None and not is_whole(document.value.get(name, 1)):
            findings.at(document, (name,), "MMAR402", message)


def _open(
    sources: Sources,
    file: str,
    places: Mapping[str, str],
    findings: Findings,
    *,
    override: bool = False,
) -> Document | None:
    """Return a working copy of a parsed file with its variables replaced."""
    original = sources.parsed.get(file)
    if original is None:
        return None
    document = Document(file, original.source, deepcopy(original.value), defined_at=places)
    substitute(sources.variables, document, findings, override=override)
    document.value = without_idle_parts(document.value)
    return document


def _workflow(
    sources: Sources, file: str, places: Mapping[str, str], findings: Findings
) -> Document | None:
    """Return a workflow file, its variables replaced; None if it is TensorFlow's."""
    original = sources.parsed.get(file)
    if original is None:
        return None
    mark = None if is_own_trainer(sources.parsed.get(CLIENT)) else mark_of(original.value)
    if mark is None:
        return _open(sources, file, places, findings, override=True)
    # What it uses is used, and nothing more is said of a file that nobody can run.
    document = _open(sources, file, places, Findings(), override=True)
    if document is not None:
        sources.tensorflow.append((document, mark))
    return None


def _to_canonical_form(sources: Sources, findings: Findings) -> None:
    """Tell the generations of both federated files, and upgrade what is older."""
    found: dict[str, Generation | None] = {}
    if sources.server is not None:
        found[SERVER] = generation_of(sources.server, findings)
        sources.server = _upgraded(sources.server, found[SERVER], findings)
    if sources.client is not None:
        found[CLIENT] = generation_of(sources.client, findings)
        sources.client = _upgraded(sources.client, found[CLIENT], findings)
    generations = set(found.values())
    if None not in generations:
        sources.generation = next(iter(found.values()), Generation.CLARA_4)
        if len(generations) > 1 and sources.client is not None:
            _differ(sources.client, found, findings)


def _upgraded(
    document: Document, generation: Generation | None, findings: Findings
) -> Document | None:
    """Return a document in canonical form; None if it is another system's."""
    of_server = document.file == SERVER
    if generation is None:
        return None
    if generation is Generation.CLARA_3:
        (upgrade_server if of_server else upgrade_client)(document, findings)
    (renew_server if of_server else renew_client)(document, findings)
    (canonical_server if of_server else canonical_client)(document, findings)
    return document


def _differ(client: Document, found: Mapping[str, Generation | None], findings: Findings) -> None:
    message = (
        f"The server file is of generation {found[SERVER]}, the client file of {found[CLIENT]}."
    )
    hint = 'Write both in the same form ("format_version": 1).'
    findings.at(client, (), "MMAR203", message, hint=hint)
