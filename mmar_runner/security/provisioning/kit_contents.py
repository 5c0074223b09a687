# SPDX-License-Identifier: Apache-2.0
"""What stands in the files of a start-up kit; nothing in here touches the disk."""

from __future__ import annotations

import json
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.security.identity import Role
from mmar_runner.security.kits.files import KIT_FILES

if TYPE_CHECKING:
    from mmar_runner.security.provisioning.project_file import Participant, Project

#: 2 is the number of another system's files, which look alike and mean something else.
_FORMAT_VERSION: Final = 1
_HEART_BEAT_SECONDS: Final = 600
_RETRY_SECONDS: Final = 30
_ROLES: Final = {
    "super": "has every right, and stands under every site's rules",
    "lead_researcher": "leads the study: uploads, deploys, trains and looks everywhere",
    "site_researcher": "trains and looks at the own organisation's sites",
    "lead_it": "operates and looks everywhere",
    "site_it": "operates and looks at the own organisation's sites",
}
_RIGHTS: Final = {
    "super": (),
    "lead_researcher": (
        *("train_all", "view_all", "deploy_self"),
        *("deploy_all", "operate_self", "operate_all"),
    ),
    "site_researcher": ("train_self", "view_self"),
    "lead_it": ("operate_all", "view_all"),
    "site_it": ("operate_self", "view_self"),
}
_STRICT: Final = "strict"
_GENERAL: Final = "general"


def authorization(project: Project) -> bytes:
    """Return an ``authorization.json`` for a project: no code, no data lists of an MMAR."""
    rights = {role: dict.fromkeys(names, True) for role, names in _RIGHTS.items()}
    rules = {"allow_byoc": False, "allow_custom_datalist": False}
    orgs = sorted({participant.org for participant in project.participants})
    value = {
        "version": "1.0",
        "roles": _ROLES,
        "groups": {
            _STRICT: {"desc": "what sites allow", "rules": rules},
            _GENERAL: {"desc": "what users may do", "role_rights": rights},
        },
        "users": {
            admin.name: {"org": admin.org, "roles": _roles(project, admin)}
            for admin in project.admins
        },
        "orgs": {org: [_STRICT, _GENERAL] for org in orgs},
        "sites": {
            "server": project.server.org,
            **{one.participant.name: one.participant.org for one in project.combiners},
            **{client.name: client.org for client in project.clients},
        },
    }
    return _json(value)


def config(project: Project, participant: Participant) -> bytes:
    """Return the ``fed_*.json`` of a participant's role."""
    role = participant.identity.role
    if role is Role.SERVER:
        return _json(_server(project))
    if role is Role.COMBINER:
        return _json(_combiner(project, participant))
    if role is Role.CLIENT:
        return _json(_client(project, participant))
    return _json(_admin(project, participant))


def site_policy() -> bytes:
    """Return the policy a site begins with: it allows nothing that needs a decision."""
    return _json(
        {
            "version": 1,
            "allowed_path_prefixes": [],
            "byoc": "refuse",
            "allow_custom_datalist": False,
            "signatures": {"mmar": 1},
        }
    )


def readme(project: Project, participant: Participant) -> bytes:
    """Return what a person has to know of a kit."""
    role = participant.identity.role
    lines = [
        f"Start-up kit of the {role} {participant.name} in the project {project.name}.",
        "",
        *_USES[role],
        "",
        "Before the first use, compare the fingerprint of the project's authority, by telephone,",
        "with the one that `mmar-runner provision` printed to whoever made this kit:",
        "",
        "    openssl x509 -in THIS_FOLDER/rootCA.pem -noout -fingerprint -sha256",
        "",
        "Whoever has the files *.key can act in your name: keep the folder to yourself, with",
        "mode 0700, and tell the project's administrator at once if it gets into other hands.",
    ]
    return ("\n".join(lines) + "\n").encode()


def _server(project: Project) -> dict[str, Any]:
    settings = project.settings
    server = {
        "name": project.name,
        "service": {"target": _target(project)},
        "admin_host": project.server.name,
        "admin_port": settings.admin_port,
        "admin_storage": settings.admin_storage,
        "min_num_clients": settings.min_num_clients,
        "max_num_clients": settings.max_num_clients,
        **({"assign_clients": True, "pinned": _pinned(project)} if settings.assign_clients else {}),
        "heart_beat_timeout": _HEART_BEAT_SECONDS,
        **_ssl(Role.SERVER),
    }
    return {**_head(project), "servers": [server], **_places(project)}


def _client(project: Project, participant: Participant) -> dict[str, Any]:
    assigned = project.settings.assign_clients
    client = {
        "name": participant.name,
        "retry_timeout": _RETRY_SECONDS,
        **({"assigned": True} if assigned else {}),
        **_ssl(Role.CLIENT),
    }
    target = _target(project) if assigned else _above(project, participant)
    server = {"name": project.name, "service": {"target": target}}
    return {**_head(project), "servers": [server], "client": client}


def _pinned(project: Project) -> dict[str, str]:
    """Return the one combiner that a client must have, by the client's name."""
    return {one.name: one.below for one in project.clients if one.below is not None}


def _places(project: Project) -> dict[str, Any]:
    """Return below which combiner clients and combiners have a place of their own, if any has."""
    everybody = (*project.clients, *(one.participant for one in project.combiners))
    places = {one.name: one.below for one in everybody if one.below is not None}
    return {"places": places} if places and not project.settings.assign_clients else {}


def _combiner(project: Project, participant: Participant) -> dict[str, Any]:
    combiner = project.combiner(participant.name)
    assert combiner is not None  # noqa: S101 - it is a participant of that role
    least = combiner.min_num_clients
    server = {"name": project.name, "service": {"target": _above(project, participant)}}
    own = {
        "name": participant.name,
        "service": {"target": _address(combiner.host_names[0], combiner.fed_learn_port)},
        **({} if least is None else {"min_num_clients": least}),
        **_ssl(Role.COMBINER),
    }
    return {**_head(project), "servers": [server], "combiner": own, **_places(project)}


def _above(project: Project, participant: Participant) -> str:
    """Return where whoever a participant works below answers."""
    combiner = project.combiner(participant.below)
    if combiner is None:
        return _target(project)
    return _address(combiner.host_names[0], combiner.fed_learn_port)


def _admin(project: Project, participant: Participant) -> dict[str, Any]:
    server = {
        "name": project.name,
        "service": {"target": _target(project)},
        "admin_host": project.server.name,
        "admin_port": project.settings.admin_port,
    }
    admin = {"name": participant.name, **_ssl(Role.ADMIN)}
    return {**_head(project), "servers": [server], "admin": admin}


def _head(project: Project) -> dict[str, Any]:
    return {
        "format_version": _FORMAT_VERSION,
        "project": project.name,
        "config_folder": project.config_folder,
    }


def _ssl(role: Role) -> dict[str, str]:
    files = KIT_FILES[role]
    return {
        "ssl_private_key": files.key,
        "ssl_cert": files.certificate,
        "ssl_root_cert": files.root,
    }


def _target(project: Project) -> str:
    return _address(project.server.name, project.settings.fed_learn_port)


def _address(host: str, port: int) -> str:
    try:
        bracketed = isinstance(ip_address(host), IPv6Address)
    except ValueError:
        bracketed = False
    return f"{f'[{host}]' if bracketed else host}:{port}"


def _roles(project: Project, admin: Participant) -> list[str]:
    if admin.roles:
        return list(admin.roles)
    return ["super" if admin.org == project.server.org else "lead_researcher"]


def _json(value: Any) -> bytes:
    return f"{json.dumps(value, indent=2, ensure_ascii=False)}\n".encode()


_SITE: Final = (
    "site_policy.json is yours: it says what may run here, and provisioning never changes it.",
    "The other files are signed by the project; a changed one is refused.",
)
_USES: Final = {
    Role.SERVER: (
        "    mmar-runner run-server MMAR --kit THIS_FOLDER    (one run)",
        "    mmar-runner run-server --kit THIS_FOLDER         (runs as administrators order)",
        "",
        *_SITE,
    ),
    Role.COMBINER: ("    mmar-runner run-combiner MMAR --kit THIS_FOLDER", "", *_SITE),
    Role.CLIENT: ("    mmar-runner run-client --kit THIS_FOLDER", "", *_SITE),
    Role.ADMIN: (
        "    mmar-runner sign-mmar MMAR --kit THIS_FOLDER",
        "    mmar-runner admin --kit THIS_FOLDER",
        "",
        "release.key signs MMARs and orders in your name; whether that suffices is every",
        "site's decision.",
    ),
}
