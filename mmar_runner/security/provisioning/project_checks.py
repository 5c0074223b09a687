# SPDX-License-Identifier: Apache-2.0
"""What a schema cannot say of a project file: names that are safe, and taken once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from mmar_runner.security.packages.names import name_key

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.security.policy.document import PolicyDocument, PolicyFault

#: Names that mean something else: the authority's folder, and the server in a policy.
RESERVED: Final = frozenset({"authority", "server"})
_CLIENT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}")
_EMAIL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._%+'-]*@[A-Za-z0-9][A-Za-z0-9.-]*")
_LABEL: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_HOST_LENGTH: Final = 253
_EMAIL_LENGTH: Final = 254
_PROJECT_LENGTH: Final = 64
_DEFAULT_PORTS: Final = (8002, 8003)
_DEFAULT_CLIENTS: Final = (2, 100)


def project_faults(document: PolicyDocument) -> list[PolicyFault]:
    """Return every fault that the schema does not see.

    What does not even have the shape of a project is passed over: the schema speaks of it.
    """
    value = document.value if isinstance(document.value, dict) else {}
    server = value.get("server")
    return [
        *_texts(document, value),
        *_server(document, server if isinstance(server, dict) else {}),
        *_combiners(document, value),
        *_names(document, value),
    ]


def is_host(text: str) -> bool:
    """Return True for a host name or an IP address."""
    if "%" in text:  # the zone of an address may be any text, even a path
        return False
    try:
        ip_address(text)
    except ValueError:
        labels = text.split(".")
        named = all(_LABEL.fullmatch(label) for label in labels)
        return len(text) <= _HOST_LENGTH and named and not labels[-1].isdigit()
    return True


def name_fault(role: str, name: str) -> str | None:
    """Return what makes a name unusable as a participant's, or None.

    Args:
        role: ``server``, ``combiner``, ``client`` or ``admin``.
        name: The name, which also becomes a folder.
    """
    if name_key(name) in RESERVED and (role, name) != ("server", "server"):
        return f"{name!r} cannot be the name of a {role}: it means something else."
    if role == "server":
        return None if is_host(name) else f"{name!r} is neither a host name nor an IP address."
    if role == "admin":
        sound = len(name) <= _EMAIL_LENGTH and _EMAIL.fullmatch(name)
        return None if sound else f"{name!r} is no e-mail address that can name a folder."
    if not _CLIENT.fullmatch(name):
        return (
            f"{name!r} cannot be a {role}'s name: a letter or digit begins it, letters, "
            "digits, '_', '-' and '.' follow, 64 in all."
        )
    return None


def project_name_fault(name: str) -> str | None:
    """Return what makes a name unusable as a project's, or None."""
    if 0 < len(name) <= _PROJECT_LENGTH and _clean(name):
        return None
    return (
        f"{name[:_PROJECT_LENGTH]!r} cannot be a project's name: 1 to {_PROJECT_LENGTH} "
        "printable letters, without space around them."
    )


def _clean(text: str) -> bool:
    return text.isprintable() and text == text.strip()


def _texts(document: PolicyDocument, value: dict[str, Any]) -> Iterator[PolicyFault]:
    """Names of project and organisations, which are shown and stand in certificates."""
    places: list[JsonPath] = [("name",), ("server", "org")]
    for part in ("combiners", "fl_clients", "admin_clients"):
        places += [(part, index, "org") for index, _ in _entries(value, part)]
    for place in places:
        text = _at(value, place)
        if isinstance(text, str) and not _clean(text):
            message = f"{text!r} must be printable, without space around it."
            yield document.fault(place, message)


def _server(document: PolicyDocument, server: dict[str, Any]) -> Iterator[PolicyFault]:
    ports = [server.get(k, d) for k, d in zip(_PORTS, _DEFAULT_PORTS, strict=True)]
    if ports[0] == ports[1]:
        at = _PORTS[1] if _PORTS[1] in server else _PORTS[0]
        message = f"fed_learn_port and admin_port are both {ports[0]}."
        yield document.fault(("server", at), message, "Give them different ports.")
    least, most = (server.get(k, d) for k, d in zip(_CLIENTS, _DEFAULT_CLIENTS, strict=True))
    if isinstance(least, int) and isinstance(most, int) and least > most:
        at = _CLIENTS[0] if _CLIENTS[0] in server else _CLIENTS[1]
        message = f"min_num_clients ({least}) is above max_num_clients ({most})."
        yield document.fault(("server", at), message)
    yield from _host_names(document, ("server",), server)


def _host_names(
    document: PolicyDocument, at: JsonPath, entry: dict[str, Any]
) -> Iterator[PolicyFault]:
    hosts = entry.get("host_names")
    for index, host in enumerate(hosts if isinstance(hosts, list) else ()):
        if isinstance(host, str) and not is_host(host):
            message = f"{host!r} is neither a host name nor an IP address."
            yield document.fault((*at, "host_names", index), message, _bare_host(host))


def _combiners(document: PolicyDocument, value: dict[str, Any]) -> Iterator[PolicyFault]:
    """Hosts of combiners, and who works below whom: every way up ends at the server."""
    above = {
        entry["name"]: entry.get("combiner")
        for _, entry in _entries(value, "combiners")
        if isinstance(entry, dict) and isinstance(entry.get("name"), str)
    }
    for index, entry in _entries(value, "combiners"):
        if not isinstance(entry, dict):
            continue
        yield from _host_names(document, ("combiners", index), entry)
        host = entry.get("cn")
        if isinstance(host, str) and not is_host(host):
            message = f"{host!r} is neither a host name nor an IP address."
            yield document.fault(("combiners", index, "cn"), message, _bare_host(host))
    yield from _shared_addresses(document, value)
    server = value.get("server")
    assigns = isinstance(server, dict) and server.get("assign_clients") is True
    if assigns and not above:
        message = "There is no combiner to assign clients to."
        yield document.fault(("server", "assign_clients"), message, "Name them under combiners.")
    for part in ("combiners", "fl_clients"):
        for index, entry in _entries(value, part):
            name = entry.get("combiner") if isinstance(entry, dict) else None
            if isinstance(name, str) and (why := _no_way_up(name, above)):
                yield document.fault((part, index, "combiner"), why)
            elif isinstance(name, str) and assigns and part == "combiners":
                message = "A server that assigns clients has its combiners directly below it."
                hint = "Leave out combiner here, or assign_clients."
                yield document.fault((part, index, "combiner"), message, hint)


def _shared_addresses(document: PolicyDocument, value: dict[str, Any]) -> Iterator[PolicyFault]:
    """Whoever would answer at the address of another: the server's, or a combiner's."""
    server = value.get("server")
    seen = {}
    if isinstance(server, dict):
        seen[server.get("cn"), server.get("fed_learn_port", 8002)] = "the server"
    for index, entry in _entries(value, "combiners"):
        if not isinstance(entry, dict) or not isinstance(entry.get("cn"), str):
            continue
        at = (entry["cn"], entry.get("fed_learn_port", 8002))
        if at in seen:
            message = f"{seen[at]} answers at {at[0]}:{at[1]} already."
            hint = "Give each a cn or a fed_learn_port of its own."
            yield document.fault(("combiners", index), message, hint)
        seen.setdefault(at, str(entry.get("name")))


def _no_way_up(name: str, above: dict[str, Any]) -> str | None:
    """Return why nobody can work below a combiner, or None."""
    if name not in above:
        return f"{name!r} is no combiner of this project."
    passed: list[str] = []
    at: Any = name
    while isinstance(at, str) and at in above:
        if at in passed:
            return f"{at!r} would work below itself."
        passed.append(at)
        at = above[at]
    return None


def _names(document: PolicyDocument, value: dict[str, Any]) -> Iterator[PolicyFault]:
    """Every participant's name; since each becomes a folder, no two may be alike."""
    seen: dict[str, str] = {}
    for role, place in _named(value):
        name = _at(value, place)
        if not isinstance(name, str):
            continue
        fault = name_fault(role, name)
        if fault:
            yield document.fault(place, fault, _bare_host(name) if role == "server" else None)
        elif name_key(name) in seen:
            first = seen[name_key(name)]
            message = f"{name!r} is taken: it stands at {first} already."
            yield document.fault(place, message, "Give every participant a name of its own.")
        seen.setdefault(name_key(name), f"line {document.place(*place).line}")


def _bare_host(text: str) -> str | None:
    """Return the hint to leave out what an address has besides its host, if it has."""
    try:
        host = urlsplit(text if "//" in text else f"//{text}").hostname
    except ValueError:
        return None
    sound = host is not None and host != text and is_host(host)
    return f"Write the name alone: {host}. The port is fed_learn_port." if sound else None


def _named(value: dict[str, Any]) -> Iterator[tuple[str, JsonPath]]:
    yield "server", ("server", "cn")
    for index, _ in _entries(value, "combiners"):
        yield "combiner", ("combiners", index, "name")
    for index, _ in _entries(value, "fl_clients"):
        yield "client", ("fl_clients", index, "client_name")
    for index, _ in _entries(value, "admin_clients"):
        yield "admin", ("admin_clients", index, "email")


def _entries(value: dict[str, Any], part: str) -> list[tuple[int, Any]]:
    found = value.get(part)
    return list(enumerate(found)) if isinstance(found, list) else []


def _at(value: Any, path: JsonPath) -> Any:
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value


_PORTS: Final = ("fed_learn_port", "admin_port")
_CLIENTS: Final = ("min_num_clients", "max_num_clients")
