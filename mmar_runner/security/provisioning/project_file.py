# SPDX-License-Identifier: Apache-2.0
"""``project.yml``: who takes part in a federation, in the form of Clara's provisioning."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from mmar_runner.documents.limits import DEFAULT_LIMITS
from mmar_runner.documents.yaml_reader import read_yaml
from mmar_runner.errors import UsageError
from mmar_runner.security.decision import Place
from mmar_runner.security.identity import Identity, Role
from mmar_runner.security.policy.document import (
    PolicyDocument,
    PolicyFault,
    refuse_faults,
    schema_faults,
)
from mmar_runner.security.provisioning.project_checks import project_faults
from mmar_runner.storage.bounded import read_bounded

REASON: Final = "PROJECT_INVALID"
_HINT: Final = "`mmar-runner schema project` prints what it may hold."


@dataclass(frozen=True, slots=True)
class Participant:
    """One participant of a project.

    Attributes:
        identity: Who it is.
        org: Its organisation.
        own_keys: True if it makes its own keys and sends a request.
        roles: An administrator's roles, if the file gives any.
        below: The combiner that a client, or a combiner, works below; None for the server.
    """

    identity: Identity
    org: str
    own_keys: bool = False
    roles: tuple[str, ...] = ()
    below: str | None = None

    @property
    def name(self) -> str:
        """Its name, which is also its kit's folder."""
        return self.identity.name


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What the file says of the server.

    Attributes:
        host_names: Every name and address that its certificate is to hold.
        fed_learn_port: Where clients connect.
        admin_port: Where administrators connect.
        admin_storage: Its folder for MMARs that are handed over.
        min_num_clients: How many clients a round needs.
        max_num_clients: How many clients may take part.
        assign_clients: Whether clients ask it which combiner they work below.
    """

    host_names: tuple[str, ...]
    fed_learn_port: int
    admin_port: int
    admin_storage: str
    min_num_clients: int
    max_num_clients: int
    assign_clients: bool = False


@dataclass(frozen=True, slots=True)
class Combiner:
    """What the file says of a combiner.

    Attributes:
        participant: Who it is.
        host_names: Every name and address that its certificate is to hold; the first is the one
            that its clients call.
        fed_learn_port: Where they connect.
        min_num_clients: Of how many of them a round needs updates; None leaves it to the MMAR.
    """

    participant: Participant
    host_names: tuple[str, ...]
    fed_learn_port: int
    min_num_clients: int | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """A project file that was read and checked.

    Attributes:
        name: The project's name.
        config_folder: The folder of an MMAR that holds its configuration.
        server: The server.
        settings: What is said of it.
        combiners: The combiners, in the file's order.
        clients: The clients, in the file's order.
        admins: The administrators, in the file's order.
        notes: What was read and is left alone, in sentences.
    """

    name: str
    config_folder: str
    server: Participant
    settings: ServerSettings
    clients: tuple[Participant, ...]
    admins: tuple[Participant, ...]
    notes: tuple[str, ...]
    combiners: tuple[Combiner, ...] = ()

    @property
    def participants(self) -> tuple[Participant, ...]:
        """Everybody: the server, the combiners, the clients, the administrators."""
        combiners = (one.participant for one in self.combiners)
        return (self.server, *combiners, *self.clients, *self.admins)

    def combiner(self, name: str | None) -> Combiner | None:
        """Return the combiner of a name; None if there is none."""
        return next((one for one in self.combiners if one.participant.name == name), None)

    def host_names(self, name: str) -> tuple[str, ...]:
        """Return the names and addresses that a participant's certificate is to hold."""
        if name == self.server.name:
            return self.settings.host_names
        combiner = self.combiner(name)
        return () if combiner is None else combiner.host_names


def load_project(path: Path) -> Project:
    """Read a project file; it is refused as a whole if anything in it is wrong.

    Raises:
        UsageError: PROJECT_INVALID; every fault is named, with line and column.
    """
    document = _read(path)
    found = schema_faults(document, "project") + project_faults(document)
    refuse_faults(document.file, found, _HINT, reason=REASON)
    return _project(document)


def _read(path: Path) -> PolicyDocument:
    try:
        data = read_bounded(path, DEFAULT_LIMITS.text_bytes)
        text = data.decode()
    except OSError as error:
        msg = f"The project file {path} cannot be read: {error}"
        raise UsageError(msg, reason=REASON, hint=_HINT) from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        msg = f"{path}:{line}: the project file is not UTF-8: {error.reason}"
        raise UsageError(msg, reason=REASON, hint="save it as UTF-8") from error
    source = read_yaml(text)
    document = PolicyDocument(str(path), source, sha256(data).hexdigest())
    found = [
        PolicyFault(Place(document.file, *source.position(p.offset)), p.message, p.hint)
        for p in source.problems
    ]
    if not source.reliable:
        refuse_faults(document.file, found, _HINT, reason=REASON)
    if found:  # what can be read is judged too, so that all faults come at once
        found += schema_faults(document, "project") + project_faults(document)
    refuse_faults(document.file, found, _HINT, reason=REASON)
    return document


def _project(document: PolicyDocument) -> Project:
    value: dict[str, Any] = document.value
    name, server = value["name"], value["server"]
    return Project(
        name=name,
        config_folder=value.get("config_folder", "config"),
        server=_participant(name, Role.SERVER, server, "cn"),
        settings=_settings(server),
        combiners=tuple(_combiner(name, entry) for entry in value.get("combiners", ())),
        clients=tuple(
            _participant(name, Role.CLIENT, entry, "client_name")
            for entry in value.get("fl_clients", ())
        ),
        admins=tuple(
            _participant(name, Role.ADMIN, entry, "email")
            for entry in value.get("admin_clients", ())
        ),
        notes=tuple(_notes(document)),
    )


def _participant(project: str, role: Role, entry: dict[str, Any], key: str) -> Participant:
    identity = Identity(project, role, entry[key])
    roles = tuple(entry.get("roles", ()))
    own_keys, below = entry.get("own_keys", False), entry.get("combiner")
    return Participant(identity, entry["org"], own_keys, roles, below)


def _combiner(project: str, entry: dict[str, Any]) -> Combiner:
    return Combiner(
        _participant(project, Role.COMBINER, entry, "name"),
        host_names=tuple(dict.fromkeys((entry["cn"], *entry.get("host_names", ())))),
        fed_learn_port=entry.get("fed_learn_port", 8002),
        min_num_clients=entry.get("min_num_clients"),
    )


def _settings(server: dict[str, Any]) -> ServerSettings:
    return ServerSettings(
        host_names=tuple(dict.fromkeys((server["cn"], *server.get("host_names", ())))),
        fed_learn_port=server.get("fed_learn_port", 8002),
        admin_port=server.get("admin_port", 8003),
        admin_storage=server.get("admin_storage", "transfer"),
        min_num_clients=server.get("min_num_clients", 2),
        max_num_clients=server.get("max_num_clients", 100),
        assign_clients=server.get("assign_clients", False),
    )


def _notes(document: PolicyDocument) -> list[str]:
    notes = []
    if "he" in document.value:
        place = document.place("he", key=True)
        notes.append(f"{place}: homomorphic encryption is not part of this version; left alone")
    if document.value["server"].get("auth") is False:
        place = document.place("server", "auth")
        notes.append(f"{place}: there always is an authorization.json; 'false' is left alone")
    return notes
