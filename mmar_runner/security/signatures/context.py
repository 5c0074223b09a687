# SPDX-License-Identifier: Apache-2.0
"""What a site knows when it looks at signatures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from mmar_runner.security.pki.revocation import RevocationList
    from mmar_runner.security.pki.trust_root import TrustRoot
    from mmar_runner.security.policy.site_policy import SitePolicy


@dataclass(frozen=True, slots=True)
class SeenVersion:
    """The highest version of an MMAR that a site accepted.

    Attributes:
        version: It.
        digest: Of the MMAR that had it, hex; None where an older memory did not say.
    """

    version: int
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class SignatureContext:
    """What a site knows when it looks at signatures.

    Attributes:
        site: Its name; None where an MMAR only passes through, as at the server.
        trust_root: Whose keys it knows.
        revocations: What no longer counts.
        policy: How many signatures it asks for, and which digests it accepted.
        now: The present time, with a time zone.
        origin: ``local`` if the site itself put the folder there, ``delivered`` if it
            came over the network.
        versions: Highest version accepted so far, by project and name of the MMAR.
    """

    site: str | None
    trust_root: TrustRoot
    revocations: RevocationList
    policy: SitePolicy
    now: datetime
    origin: Literal["local", "delivered"] = "delivered"
    versions: Mapping[tuple[str, str], SeenVersion] = field(default_factory=dict)
