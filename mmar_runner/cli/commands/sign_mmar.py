# SPDX-License-Identifier: Apache-2.0
"""``sign-mmar``: an administrator answers for every file of an MMAR."""

from __future__ import annotations

from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from mmar_runner.cli.options import mmar_argument, plugins_dir_option, required_kit_option
from mmar_runner.cli.output import echo_hint, echo_json, json_option, say
from mmar_runner.cli.starting.kits import open_kit
from mmar_runner.documents.words import counted, did_you_mean, some_of
from mmar_runner.errors import MmarError, UsageError
from mmar_runner.mmar.codes import NOT_INSTALLED
from mmar_runner.mmar.finding import Findings
from mmar_runner.mmar.folder import is_hidden, open_folder
from mmar_runner.mmar.manifest import list_files, read_signature
from mmar_runner.security.identity import Role
from mmar_runner.security.listing import SIGNATURE_FILE
from mmar_runner.security.packages.names import name_problem, shown
from mmar_runner.storage.atomic import write_bytes_atomic

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mmar_runner.mmar.finding import Finding
    from mmar_runner.mmar.validation import Validation
    from mmar_runner.security.decision import Step
    from mmar_runner.security.kits.kit import StartupKit
    from mmar_runner.security.listing import FileListing, ListedFile
    from mmar_runner.security.policy.mmar_facts import MmarFacts
    from mmar_runner.security.signatures.signing import Signed, Signer

_MOST_DAYS: Final = 3650
#: Names of files that editors and systems leave behind, beside hidden ones.
_STRAY: Final = ("Thumbs.db", "desktop.ini", "*~", "*.bak", "*.orig", "*.pyc", "*.swp")
_SHOWN: Final = 5


@click.command("sign-mmar")
@mmar_argument
@required_kit_option("The start-up kit of an administrator.")
@click.option(
    "--mmar-version",
    "version",
    type=click.IntRange(1, 2**53 - 1),
    metavar="N",
    help="The MMAR's version; sites never go back to a lower one.  [default: one more than in "
    "the present signature, else 1]",
)
@click.option(
    "--days",
    type=click.IntRange(1, _MOST_DAYS),
    metavar="N",
    help="For how many days sites accept it.  [default: 365]",
)
@click.option(
    "--audience",
    multiple=True,
    metavar="SITE",
    help="A site that it is meant for; repeatable.  [default: every site]",
)
@plugins_dir_option
@json_option
def command(
    mmar: Path,
    kit_folder: Path,
    version: int | None,
    days: int | None,
    audience: tuple[str, ...],
    plugins_dir: Path | None,
    as_json: bool,
) -> None:
    """Sign an MMAR: write signature.json over every file of the folder.

    If another administrator signed the same files, and neither version, days nor audience
    is given, the signature is added to theirs. An MMAR in which the validator finds errors is
    signed all the same, with a warning; so is one that the project's authorization refuses.
    """
    # Deferred: signing needs cryptography, which `--help` does without.
    from mmar_runner.security.signatures.signing import Terms, sign_listing  # noqa: PLC0415

    kit = open_kit(kit_folder, Role.ADMIN)
    signer = _signer(kit)
    _require_sites(audience, kit)
    folder = open_folder(mmar, Findings())
    _require_name(folder.root.name)
    terms = Terms(version, days, audience)
    present = read_signature(folder)
    listing = list_files(folder)
    signed = sign_listing(listing, present, signer, terms, now=datetime.now(UTC))
    write_bytes_atomic(folder.root / SIGNATURE_FILE, signed.envelope.to_json(), durable=True)
    # Only now: a signature that was damaged is mended, and one that others made is there.
    found = _validated(mmar, listing, plugins_dir)
    errors, refused = found.report.errors, _refused(found, signed, kit)
    if as_json:
        refusals = {site: step.reason for site, step in refused.items()}
        told = {"byoc": found.facts.byoc, "valid": not errors, "refused": refusals}
        echo_json({**_as_json(mmar, signed), **told})
    else:
        say(*_sentences(mmar, signed, found.facts))
    _say_errors(mmar, errors)
    _say_refused(refused)


def _validated(mmar: Path, listing: FileListing, plugins_dir: Path | None) -> Validation:
    from mmar_runner.hooks import load_plugins  # noqa: PLC0415 - as above
    from mmar_runner.mmar.validation import validate  # noqa: PLC0415 - as above

    catalog = load_plugins(plugins_dir=plugins_dir).registry
    return validate(mmar, catalog, listing=lambda: listing)


def _refused(found: Validation, signed: Signed, kit: StartupKit) -> dict[str, Step]:
    """Return why the project's authorization refuses it, by site: signing changes none of it."""
    from mmar_runner.admission.deployment import refused_ahead  # noqa: PLC0415 - as above
    from mmar_runner.security.policy.authorization_file import load_authorization  # noqa: PLC0415

    authorization = load_authorization(kit.authorization)
    return refused_ahead(found.facts, signed.signers, signed.manifest, authorization)


def _say_refused(refused: Mapping[str, Step]) -> None:
    """Say on stderr where it will not run, once for each reason."""
    sites: dict[str, list[str]] = {}
    for site, step in refused.items():
        sites.setdefault(step.reason, []).append(site)
    for names in sites.values():
        step = refused[names[0]]
        say(
            f"warning: the project's authorization refuses it at {some_of(names, _SHOWN)}: "
            f"{step.message}",
            err=True,
        )
        if step.hint:
            echo_hint(step.hint)


def _say_errors(mmar: Path, errors: tuple[Finding, ...]) -> None:
    """Say on stderr that an MMAR was signed that runs nowhere; what is signed is the owner's.

    What is not installed here may be where it runs: it is said to be unknown, and no more.
    """
    known = [error for error in errors if error.code not in NOT_INSTALLED]
    absent = [error for error in errors if error.code in NOT_INSTALLED]
    if known:
        say(
            f"warning: the validator finds {counted(len(known), 'error')} in what was signed, "
            f"which runs nowhere as it is: {known[0].message}",
            err=True,
        )
        echo_hint(f"see `mmar-runner validate-mmar {mmar}`, and sign it again when it is mended")
    if absent:
        what = counted(len(absent), "component")
        say(f"warning: {what} could not be checked here: {absent[0].message}", err=True)
        echo_hint(
            "where the plugin is in force it runs as it was signed; to check it here, install the "
            "plugin, or give the folder of a one-file plugin with --plugins-dir"
        )


def _signer(kit: StartupKit) -> Signer:
    from mmar_runner.security.kits.files import KIT_FILES  # noqa: PLC0415
    from mmar_runner.security.pki.keys import load_release_key  # noqa: PLC0415 - as above
    from mmar_runner.security.signatures.signing import Signer  # noqa: PLC0415

    file = kit.release_key_file or kit.folder / str(KIT_FILES[Role.ADMIN].release_key)
    return Signer(load_release_key(file), kit.trust_root, kit.revocation_memory().current)


def _require_name(name: str) -> None:
    """Refuse to sign what no client could be given, because of its folder's name.

    Raises:
        MmarError: UNSAFE_PATH.
    """
    if (problem := name_problem(name, depth=1)) is not None:
        msg = f"the folder has the name {shown(name)}, which {problem}"
        raise MmarError(msg, hint="rename the folder, then sign it", reason="UNSAFE_PATH")


def _require_sites(audience: Iterable[str], kit: StartupKit) -> None:
    """Refuse the name of a site that the project does not have.

    Raises:
        UsageError: There is none of that name.
    """
    from mmar_runner.security.policy.authorization_file import load_authorization  # noqa: PLC0415

    sites = load_authorization(kit.authorization).sites
    for site in audience:
        if site not in sites:
            hint = did_you_mean(site, sites) or f"Its sites are {', '.join(sorted(sites))}."
            raise UsageError(f"the project has no site {site!r}", hint=hint)


def _sentences(mmar: Path, signed: Signed, facts: MmarFacts) -> list[str]:
    manifest = signed.manifest
    code = "brings code" if facts.byoc else "brings no code"
    done = "Added a signature to" if signed.added else "Signed"
    sites = "every site" if manifest.meant_for("*") else ", ".join(manifest.audience)
    dropped = ", ".join(signed.dropped)
    note = [f"  note      {dropped} signed an earlier version, which counts no longer"]
    return [
        f"{done} {mmar}: {manifest.name}, version {manifest.version}, {code}",
        f"  digest    {manifest.digest}",
        f"  files     {len(manifest.files)}",
        f"  signed by {', '.join(signed.signers)}",
        f"  for       {sites}, until {manifest.expires:%Y-%m-%d}",
        *(note if dropped else []),
        *_stray_sentences(_stray(manifest.files)),
    ]


def _stray_sentences(stray: list[str]) -> list[str]:
    if not stray:
        return []
    note = "hidden or left-over files are part of what is signed"
    return [f"  note      {note}: {some_of(stray, _SHOWN)}"]


def _stray(files: Iterable[ListedFile]) -> list[str]:
    """Return what an editor or a system may have left there: it is signed all the same."""
    return [
        file.path
        for file in files
        if is_hidden(file.path)
        or "__pycache__" in file.path.split("/")
        or any(fnmatch(file.path.rpartition("/")[2], pattern) for pattern in _STRAY)
    ]


def _as_json(mmar: Path, signed: Signed) -> dict[str, object]:
    manifest = signed.manifest
    return {
        "mmar": str(mmar),
        "project": manifest.project,
        "name": manifest.name,
        "version": manifest.version,
        "digest": manifest.digest,
        "files": len(manifest.files),
        "stray": _stray(manifest.files),
        "signers": list(signed.signers),
        "audience": list(manifest.audience),
        "expires": manifest.expires.isoformat(),
        "added": signed.added,
        "dropped": list(signed.dropped),
    }
