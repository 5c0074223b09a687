# SPDX-License-Identifier: Apache-2.0
"""What an administrator signs of an MMAR: every file, and for whom and until when.

Whether a folder is the signed one is a comparison of two listings: the signed one and
the folder's own.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from mmar_runner.documents.strict_json import parse_checked
from mmar_runner.security.listing import FileKind, FileListing, ListedFile

MMAR_TYPE: Final = "application/vnd.mmar-runner.mmar+json"
#: The audience that means every site.
EVERYBODY: Final = "*"
_SPEC_VERSION: Final = 1
#: The most bytes of a manifest.
MAX_MANIFEST_BYTES: Final = 5 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SignedManifest:
    """What a signature of an MMAR says.

    Attributes:
        project: The project that it is signed for.
        name: The MMAR's name.
        version: Its number; a site never goes back to a lower one.
        created: When it was signed, UTC.
        expires: Until when sites accept it, UTC.
        audience: Names of the sites that it is meant for, or ``*``.
        digest: The MMAR's digest.
        byoc: Whether the signer saw code in it.
        files: Every file, sorted by path.
    """

    project: str
    name: str
    version: int
    created: datetime
    expires: datetime
    audience: tuple[str, ...]
    digest: str
    byoc: bool
    files: tuple[ListedFile, ...]

    def meant_for(self, site: str) -> bool:
        """Return True if a site is among those that it is meant for."""
        return EVERYBODY in self.audience or site in self.audience


@dataclass(frozen=True, slots=True)
class Differences:
    """In what a folder differs from what was signed: paths, sorted.

    Attributes:
        altered: In both, with other content.
        missing: Signed, and not in the folder.
        added: In the folder, and not signed.
    """

    altered: tuple[str, ...]
    missing: tuple[str, ...]
    added: tuple[str, ...]

    def __bool__(self) -> bool:
        """Return True if there is any."""
        return bool(self.altered or self.missing or self.added)


def make_manifest(
    listing: FileListing,
    *,
    project: str,
    version: int,
    created: datetime,
    expires: datetime,
    audience: tuple[str, ...] = (EVERYBODY,),
) -> SignedManifest:
    """Return what is to be signed of a listing.

    Args:
        listing: The MMAR as it is.
        project: The project that it is signed for.
        version: Its number, from 1.
        created: Now, with a time zone.
        expires: Until when sites are to accept it, with a time zone.
        audience: Names of sites, or ``*``.
    """
    return SignedManifest(
        project=project,
        name=listing.name,
        version=version,
        created=created.astimezone(UTC).replace(microsecond=0),
        expires=expires.astimezone(UTC).replace(microsecond=0),
        audience=tuple(sorted(set(audience))),
        digest=listing.digest,
        byoc=listing.byoc,
        files=listing.files,
    )


def dump_manifest(manifest: SignedManifest) -> bytes:
    """Return a manifest as the payload of an envelope."""
    value = {
        "type": MMAR_TYPE,
        "spec_version": _SPEC_VERSION,
        **asdict(manifest),
        "created": manifest.created.isoformat(),
        "expires": manifest.expires.isoformat(),
    }
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def read_manifest(payload: bytes) -> SignedManifest:
    """Return the manifest that a payload holds; its signatures were verified before.

    Raises:
        ValueError: It is none, or names a file twice.
    """
    value: dict[str, Any] = parse_checked(payload, "signed_manifest", limit=MAX_MANIFEST_BYTES)
    files = tuple(
        ListedFile(file["path"], file["size"], file["sha256"], FileKind(file["kind"]))
        for file in value["files"]
    )
    if len({file.path for file in files}) < len(files):
        raise ValueError("names a file twice")
    return SignedManifest(
        project=value["project"],
        name=value["name"],
        version=value["version"],
        created=_time(value["created"]),
        expires=_time(value["expires"]),
        audience=tuple(value["audience"]),
        digest=value["digest"],
        byoc=value["byoc"],
        files=files,
    )


def differences(listing: FileListing, manifest: SignedManifest) -> Differences:
    """Return in what a folder differs from what was signed.

    The kind of a file is left out: a site tells it itself, from the path.
    """
    here = {file.path: (file.size, file.sha256) for file in listing.files}
    signed = {file.path: (file.size, file.sha256) for file in manifest.files}
    return Differences(
        altered=tuple(sorted(p for p in here.keys() & signed.keys() if here[p] != signed[p])),
        missing=tuple(sorted(signed.keys() - here.keys())),
        added=tuple(sorted(here.keys() - signed.keys())),
    )


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is not None:
            return time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"has a time that is none: {text!r}") from error
    raise ValueError(f"has a time without a zone: {text!r}")
