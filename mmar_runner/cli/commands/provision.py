# SPDX-License-Identifier: Apache-2.0
"""``provision``: certificates and start-up kits for everybody in a project."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mmar_runner.cli.groups import Group
from mmar_runner.cli.output import echo_json, json_option, say
from mmar_runner.cli.views.tables import table

if TYPE_CHECKING:
    from mmar_runner.security.pki.requests import KeyRequest
    from mmar_runner.security.provisioning.work import Provisioned

_FILE: Final = click.Path(path_type=Path, exists=True, dir_okay=False)
_DEFAULT_DAYS: Final = 365


class _Days(click.FloatRange):
    """A number of days. No comparison holds for ``nan``, so that no bound refuses it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number, or refuse it."""
        days = super().convert(value, param, ctx)
        if isnan(days):
            self.fail("nan is no number of days.", param, ctx)
        return days


#: More than this outlives the root; less than a second is none.
_DAYS: Final = _Days(min=1e-5, max=3650)

_project = click.argument("project_file", metavar="PROJECT.yml", type=_FILE)
_out = click.option(
    "--out",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder of the kits; the authority's own folder lies in it too.",
)
_days = click.option(
    "--days",
    type=_DAYS,
    default=_DEFAULT_DAYS,
    show_default=True,
    help="For how long new certificates hold; 0.5 is half a day.",
)


class _DefaultsToMake(Group):
    """Takes ``provision PROJECT.yml`` for ``provision make PROJECT.yml``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``make`` where the name of a subcommand would stand."""
        known = {*self.commands, *ctx.help_option_names}
        if args and args[0] not in known and not self._is_slip(args[0]):
            args = ["make", *args]
        return super().parse_args(ctx, args)

    def _is_slip(self, word: str) -> bool:
        """Return True for what is no file, and nearly the name of a subcommand."""
        if not word[:1].isalnum() or Path(word).exists():
            return False
        # Deferred: only slips need it.
        from mmar_runner.documents.words import did_you_mean  # noqa: PLC0415

        return did_you_mean(word, self.commands) is not None


@click.group("provision", cls=_DefaultsToMake)
def command() -> None:
    """Write certificates and start-up kits; PROJECT.yml alone means `make PROJECT.yml`."""


@command.command("make")
@_project
@_out
@click.option(
    "--authorization",
    type=_FILE,
    help="Who may do what; without it one is generated, or the one given before stays.",
)
@_days
@json_option
def make(
    project_file: Path, out: Path, authorization: Path | None, days: float, as_json: bool
) -> None:
    """Write a start-up kit for everybody in PROJECT.yml.

    Calling it again adds who is new and changes nobody's key or certificate.
    """
    # Deferred, here and below: cryptography is for those who use it.
    from mmar_runner.security.provisioning.calls import provision  # noqa: PLC0415

    done = provision(
        project_file, out, now=_now(), authorization=authorization, life=timedelta(days=days)
    )
    _report(done, as_json=as_json)


@command.command("request")
@click.option("--project", required=True, metavar="NAME", help="The project's name.")
@click.option(
    "--role",
    required=True,
    type=click.Choice(["server", "combiner", "client", "admin"]),
    help="What the participant is.",
)
@click.option(
    "--name",
    required=True,
    metavar="NAME",
    help="Its host name (server), name (client) or e-mail address (admin).",
)
@click.option(
    "--out",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder in which DIR/NAME is made.",
)
@click.option("--new-key", is_flag=True, help="Replace the keys in DIR/NAME: they were stolen.")
@json_option
def request(project: str, role: str, name: str, out: Path, new_key: bool, as_json: bool) -> None:
    """Make a participant's own keys, and the request that goes to the authority.

    The private keys never leave DIR/NAME. What `provision sign` makes of the request is
    laid over that folder.
    """
    from mmar_runner.security.identity import Identity, Role  # noqa: PLC0415
    from mmar_runner.security.kits.files import read_kit_file  # noqa: PLC0415
    from mmar_runner.security.pki.requests import read_request  # noqa: PLC0415
    from mmar_runner.security.provisioning.own_keys import make_own_keys  # noqa: PLC0415

    path = make_own_keys(Identity(project, Role(role), name), out, new_key=new_key)
    keys = _key_ids(read_request(read_kit_file(path)))
    if as_json:
        echo_json({"request": str(path), "folder": str(path.parent), "keys_sha256": keys})
        return
    say(str(path), "")
    _show_keys(keys, "")
    say("Send this file to whoever provisions the project, and no other; `provision sign`")
    say("prints the same fingerprints there.")


@command.command("sign")
@_project
@click.argument("request_file", metavar="REQUEST", type=_FILE)
@_out
@_days
@json_option
def sign(project_file: Path, request_file: Path, out: Path, days: float, as_json: bool) -> None:
    """Certify the keys of a REQUEST; the kit holds no private key."""
    from mmar_runner.security.provisioning.calls import sign_request  # noqa: PLC0415

    life = timedelta(days=days)
    asked, done = sign_request(project_file, request_file, out, now=_now(), life=life)
    _report(done, as_json=as_json)
    if not as_json:
        name = asked.identity.name
        folder = next(outcome.folder for outcome in done.outcomes if outcome.name == name)
        _show_keys(_key_ids(asked), f" of {name}")
        say(f"Send {folder} to its owner, who lays it over the folder of the request:")
        say("`cp -r FOLDER/. OWN_FOLDER/`. It holds no private key.")


@command.command("renew")
@_project
@click.argument("names", metavar="[NAME]...", nargs=-1)
@_out
@click.option("--new-key", is_flag=True, help="Revoke what NAME had, and make new keys.")
@_days
@json_option
def renew(
    project_file: Path,
    names: tuple[str, ...],
    out: Path,
    new_key: bool,
    days: float,
    as_json: bool,
) -> None:
    """Issue new certificates for the same keys, for each NAME or for everybody.

    With --new-key, a NAME whose keys were stolen comes back with new ones.
    """
    from mmar_runner.security.provisioning.calls import renew as renew_them  # noqa: PLC0415
    from mmar_runner.security.provisioning.calls import renew_keys  # noqa: PLC0415

    call = renew_keys if new_key else renew_them
    done = call(project_file, out, names, now=_now(), life=timedelta(days=days))
    _report(done, as_json=as_json)


@command.command("revoke")
@_project
@click.argument("names", metavar="[NAME]...", nargs=-1)
@_out
@click.option("--key", "key_ids", multiple=True, metavar="ID", help="A release key; repeatable.")
@click.option("--digest", "digests", multiple=True, metavar="D", help="An MMAR; repeatable.")
@json_option
def revoke(
    project_file: Path,
    names: tuple[str, ...],
    out: Path,
    key_ids: tuple[str, ...],
    digests: tuple[str, ...],
    as_json: bool,
) -> None:
    """Revoke what was issued to each NAME, release keys, or MMARs.

    The new list goes into every kit under --out. A running server takes it from its kit,
    and hands it to the clients with their next heartbeat.
    """
    from mmar_runner.security.provisioning.calls import revoke as revoke_them  # noqa: PLC0415
    from mmar_runner.security.provisioning.revocation_issue import ToRevoke  # noqa: PLC0415

    done = revoke_them(project_file, out, ToRevoke(names, key_ids, digests), now=_now())
    _report(done, as_json=as_json)


def _now() -> datetime:
    return datetime.now(UTC)


def _key_ids(asked: KeyRequest) -> list[str]:
    """Return sha256 of each key of a request (of its SubjectPublicKeyInfo), hex."""
    from mmar_runner.security.pki.envelope import key_id  # noqa: PLC0415 - as above

    keys = (asked.tls_key, asked.release_key)
    return [key_id(key) for key in keys if key is not None]


def _show_keys(keys: list[str], whose: str) -> None:
    for what, key in zip(("key", "release key"), keys, strict=False):
        say(f"{what}{whose}, sha256 {_spoken(key)}")
    say()


def _spoken(sha256: str) -> str:
    """Return a fingerprint as people read it to each other, and as openssl prints it."""
    return ":".join(sha256[at : at + 2] for at in range(0, len(sha256), 2)).upper()


def _report(done: Provisioned, *, as_json: bool) -> None:
    if as_json:
        outcomes = [{**asdict(o), "folder": str(o.folder)} for o in done.outcomes]
        echo_json({**asdict(done), "outcomes": outcomes})
        return
    rows = [
        (o.role, o.name, o.org, o.change, o.not_after or "", str(o.folder)) for o in done.outcomes
    ]
    say(*table(("ROLE", "NAME", "ORG", "KIT", "VALID UNTIL", "FOLDER"), rows).split("\n"))
    say("", f"root certificate, sha256 {_spoken(done.root_fingerprint)}")
    say(f"list of revocations: version {done.revocations}")
    for note in done.notes:
        say(f"note: {note}", err=True)
