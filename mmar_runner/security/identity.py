# SPDX-License-Identifier: Apache-2.0
"""Who somebody is: what a certificate says, and nothing else.

The name stands in a URI of the certificate's subject alternative names,
``spiffe://PROJECT/ROLE/NAME`` (the form of SPIFFE identities).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote, urlsplit

from mmar_runner.errors import CertificateError

if TYPE_CHECKING:
    from datetime import datetime

_SCHEME: Final = "spiffe"
_SAFE: Final = "@"


class Role(StrEnum):
    """What a participant is in a project."""

    SERVER = "server"
    COMBINER = "combiner"
    CLIENT = "client"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Identity:
    """A participant of a project.

    Attributes:
        project: The project's name.
        role: What it is there.
        name: Its name in that role: a host name, a client's name or an e-mail address.
    """

    project: str
    role: Role
    name: str

    @property
    def uri(self) -> str:
        """The identity as it stands in a certificate."""
        parts = (quote(part, safe=_SAFE) for part in (self.role, self.name))
        return f"{_SCHEME}://{quote(self.project, safe='')}/{'/'.join(parts)}"

    @classmethod
    def from_uri(cls, uri: str) -> Identity:
        """Return the identity that a URI stands for.

        Raises:
            CertificateError: It is not one of ours.
        """
        try:
            split = urlsplit(uri)
            role, name = (unquote(part) for part in split.path.removeprefix("/").split("/"))
            identity = cls(unquote(split.netloc), Role(role), name)
        except ValueError as error:
            msg = f"the certificate names no participant: {uri[:200]!r}"
            raise CertificateError(msg) from error
        if identity.uri != uri or not identity.project or not identity.name:
            msg = f"the certificate names no participant: {uri[:200]!r}"
            raise CertificateError(msg)
        return identity


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """What a certificate says of its holder.

    Attributes:
        identity: Who it is.
        fingerprint: sha256 of the certificate's DER bytes, hex.
        serial: Its serial number, lower-case hex without leading zeros.
        not_before: From when it holds, UTC.
        not_after: Until when it holds, UTC.
    """

    identity: Identity
    fingerprint: str
    serial: str
    not_before: datetime
    not_after: datetime
