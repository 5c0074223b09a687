# SPDX-License-Identifier: Apache-2.0
"""Who signed what ran, and which sites took part or declined, as the run's files say."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.strict_json import parse_checked
from mmar_runner.errors import AuditError
from mmar_runner.security.audit.reading import read_audit
from mmar_runner.security.listing import SIGNATURE_FILE
from mmar_runner.security.signatures.manifest import read_manifest
from mmar_runner.storage.bounded import read_bounded

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mmar_runner.reporting.history import History
    from mmar_runner.security.signatures.manifest import SignedManifest

#: Bytes of a signature file, and of an audit log, that are read at most.
_SIGNATURE: Final = 8 << 20
_AUDIT: Final = 64 << 20
#: Sites, and kinds of refusals, that are kept.
_MOST: Final = 2_000
#: What is asked of the server between two events of a run belongs to the run.
_AROUND: Final = 5.0


@dataclass(slots=True)
class SiteAnswer:
    """What the audit log says of one site.

    Attributes:
        site: Its name.
        joined: When it was first accepted, ISO 8601; or empty.
        declined: With which reason it will not run the MMAR; or empty.
        message: In a sentence.
        refused: Why it was refused last; or empty.
    """

    site: str
    joined: str = ""
    declined: str = ""
    message: str = ""
    refused: str = ""


@dataclass(slots=True)
class Trust:
    """What the files say about signatures and policies.

    Attributes:
        signature: What was signed, by the copy that ran; None if nothing was.
        keys: Fingerprints of the keys that signed.
        signers: Who signed, as the server's audit log says; or empty.
        admitted: When the server accepted the MMAR, ISO 8601; or empty.
        may_run: Sites that may run it, by the outcome that the server's policy gives.
        sites: What became of each site.
        refusals: How often calls were refused while the run went on, by action and reason.
        logged: Whether there is an audit log.
    """

    signature: SignedManifest | None = None
    keys: tuple[str, ...] = ()
    signers: str = ""
    admitted: str = ""
    may_run: dict[str, str] = field(default_factory=dict)
    sites: dict[str, SiteAnswer] = field(default_factory=dict)
    refusals: dict[tuple[str, str], int] = field(default_factory=dict)
    logged: bool = False


def read_trust(folder: Path, history: History, notes: list[str]) -> Trust:
    """Return what a run's copy of the MMAR and its workspace's audit log say.

    Args:
        folder: The run's.
        history: What the run did, and when.
        notes: Gets a sentence about what cannot be read.
    """
    trust = Trust()
    _read_signature(folder / "mmar" / SIGNATURE_FILE, trust, notes)
    # The log is the workspace's: its runs share it.
    log = folder.parent / "audit.jsonl"
    try:
        size = log.stat().st_size
    except OSError:
        return trust
    trust.logged = True
    if size > _AUDIT:
        notes.append("the audit log is too long for a page: `mmar-runner audit show` reads it")
        return trust
    try:
        for line in read_audit(log):
            _take(trust, line, history)
    except AuditError as error:
        message = error.message.removeprefix(f"{log}:")
        notes.append(f"the audit log is not sound, line {message} [{error.reason}]")
    return trust


def _read_signature(path: Path, trust: Trust, notes: list[str]) -> None:
    try:
        envelope = parse_checked(read_bounded(path, _SIGNATURE), "signature", limit=_SIGNATURE)
        trust.signature = read_manifest(b64decode(envelope["payload"]))
        trust.keys = tuple(str(one["keyid"]) for one in envelope["signatures"])
    except FileNotFoundError:
        return
    except (OSError, ValueError, Base64Error) as error:
        notes.append(f"the MMAR's {SIGNATURE_FILE} could not be read: {error}")


def _take(trust: Trust, line: Mapping[str, Any], history: History) -> None:
    data, action = line["data"], line["action"]
    if action.startswith("mmar.") and data.get("digest") == history.digest:
        if line["decision"] == "accepted":
            trust.signers = str(data.get("signers") or trust.signers)
            trust.admitted = line["time"]
        sites = data.get("sites")
        if isinstance(sites, dict):
            trust.may_run = {str(word): str(names) for word, names in sites.items()}
    if not _within(line["time"], history):
        return
    if line["decision"] == "refused":
        which = (str(action), str(line["reason"]))
        if which in trust.refusals or len(trust.refusals) < _MOST:
            trust.refusals[which] = trust.refusals.get(which, 0) + 1
    if action in {"Register", "Decline"}:
        _answered(trust, line)


def _answered(trust: Trust, line: Mapping[str, Any]) -> None:
    """Take note of one site's answer; only `Register` says its name in its data."""
    name = str(line["data"].get("client") or line["who"]).removeprefix("client ")
    if name not in trust.sites and len(trust.sites) >= _MOST:
        return
    site = trust.sites.setdefault(name, SiteAnswer(name))
    if line["action"] == "Decline":
        site.declined, site.message = str(line["reason"]), str(line["data"].get("message", ""))
    elif line["decision"] == "accepted":
        site.joined = site.joined or line["time"]
    else:
        site.refused = str(line["reason"])


def _within(time: str, history: History) -> bool:
    """Return whether something happened while the run went on, or shortly before."""
    if history.begun is None:
        return True
    try:
        at = datetime.fromisoformat(time).timestamp()
    except ValueError:
        return False
    until = history.last if history.ended is not None else None
    return history.begun - _AROUND <= at and (until is None or at <= until + _AROUND)
