# SPDX-License-Identifier: Apache-2.0
"""Writing the kits of a project: every run brings the folder to what the project file says.

A site's own policy is never touched, and what a run that was cut short left undone is
done by the next.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from mmar_runner.security.kits.files import KIT_FILES, README_FILE, SIGNATURE_FILE
from mmar_runner.security.pki.revocation import REVOCATIONS_FILE
from mmar_runner.security.provisioning import kit_contents, rekeying
from mmar_runner.security.provisioning.kit_writing import check_own_key, write_kit
from mmar_runner.security.provisioning.outcome import Outcome, described
from mmar_runner.security.provisioning.revocation_issue import revocation_list
from mmar_runner.security.provisioning.shared_files import shared_files
from mmar_runner.storage.atomic import write_bytes_atomic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmar_runner.security.provisioning.authority import Authority
    from mmar_runner.security.provisioning.enrolment import Change
    from mmar_runner.security.provisioning.project_file import Participant, Project
    from mmar_runner.security.provisioning.state import Known


class KitWriter:
    """Writes the kits of one project.

    Args:
        project: The project.
        authority: Its authority, open.
        out: The folder of the kits.
        changes: What happened to whom before.
    """

    def __init__(
        self, project: Project, authority: Authority, out: Path, changes: Mapping[str, Change]
    ) -> None:
        self._project = project
        self._authority = authority
        self._out = out
        self._changes = changes

    def write(self, *, also: tuple[str, ...] = ()) -> tuple[Outcome, ...]:
        """Bring every kit to what the project and the authority say.

        Args:
            also: Participants whose kits are written even if their folder is not there,
                as is that of everybody to whom something happened.

        Raises:
            KitError: Another private key stands in a kit (KEY_CHANGED).
            StorageError: The disk refuses.
        """
        shared = shared_files(self._project, self._authority)
        revocations = revocation_list(self._authority)
        wanted = {*also, *self._changes}
        present = [
            self._written(p, shared, revocations, wanted=p.name in wanted)
            for p in self._project.participants
        ]
        self._remember_signed(shared)
        return (*present, *self._former(revocations))

    def _written(
        self,
        participant: Participant,
        shared: dict[str, bytes],
        revocations: bytes,
        *,
        wanted: bool,
    ) -> Outcome:
        known = self._authority.state.known.get(participant.name)
        folder = self._out / participant.name
        if known is None:
            return self._outcome(participant, None, "awaited")
        if not folder.is_dir() and not wanted:
            return self._away(participant, known, shared)
        changed = self._write_one(participant, known, shared, revocations)
        change = self._changes.get(participant.name, "changed" if changed else "unchanged")
        return self._outcome(participant, known, "revoked" if known.revoked else change)

    def _away(self, participant: Participant, known: Known, shared: dict[str, bytes]) -> Outcome:
        if known.revoked:
            return self._outcome(participant, known, "revoked")
        now = _digests(self._signed(participant, known, shared))
        behind = [name for name in now if known.signed and known.signed.get(name) != now[name]]
        return replace(self._outcome(participant, known, "away"), behind=tuple(behind))

    def _signed(
        self, participant: Participant, known: Known, shared: dict[str, bytes]
    ) -> dict[str, bytes]:
        """Return the files of a kit that the authority vouches for."""
        signed, files = dict(shared), KIT_FILES[known.role]
        config = kit_contents.config(self._project, participant)
        if files.config and config is not None:
            signed[files.config] = config
        if files.release_public and known.release_key is not None:
            signed[files.release_public] = known.release_key.encode()
        return signed

    def _remember_signed(self, shared: dict[str, bytes]) -> None:
        """Remember what was signed for the kits that lie here, for when they are away."""
        state = self._authority.state
        for participant in self._project.participants:
            known = state.known.get(participant.name)
            if known is not None and (self._out / participant.name).is_dir():
                signed = _digests(self._signed(participant, known, shared))
                state = state.with_known(replace(known, signed=signed))
        self._authority.remember(state)

    def _write_one(
        self, participant: Participant, known: Known, shared: dict[str, bytes], revocations: bytes
    ) -> bool:
        folder, files = self._out / participant.name, KIT_FILES[known.role]
        pending = self._settled(folder, known)
        changed = write_kit(
            folder,
            participant.identity,
            signed=self._signed(participant, known, shared),
            others={
                files.certificate: known.newest.pem.encode(),
                REVOCATIONS_FILE: revocations,
                README_FILE: kit_contents.readme(self._project, participant),
            },
            once=self._policy(folder, known),
            root_key=self._authority.key,
            root_pem=self._authority.root_pem,
        )
        if pending:
            rekeying.take_waiting_keys(folder, known.role)
        return changed or pending

    def _settled(self, folder: Path, known: Known) -> bool:
        """Clear away keys that do not count; return True if new ones wait for the kit's end."""
        if rekeying.exchange_pending(folder, known):
            return True
        rekeying.forget_waiting_keys(folder, known.role)
        if known.requested:
            rekeying.remove_former_keys(folder, known, self._authority.state.revoked.key_ids)
        if not (known.requested and known.revoked):  # a new request may be on its way
            check_own_key(folder, known.role, known.tls_key)
        return False

    def _policy(self, folder: Path, known: Known) -> dict[str, bytes]:
        """Return the policy a site begins with; none for a kit that is laid over another.

        There the site has a policy already, and files without a key must not replace it.
        Nor does a kit that was complete once get another for one that is gone.
        """
        files = KIT_FILES[known.role]
        begins = not known.requested and not rekeying.was_rekeyed(known)
        begins = begins and not (folder / SIGNATURE_FILE).exists()
        whole = begins and (folder / files.key).exists()
        return {files.policy: kit_contents.site_policy()} if files.policy and whole else {}

    def _former(self, revocations: bytes) -> list[Outcome]:
        """Hand the list of revocations to those whom the project no longer names."""
        current = {participant.name for participant in self._project.participants}
        outcomes = []
        for name, known in sorted(self._authority.state.known.items()):
            folder = self._out / name
            if name in current or not folder.is_dir():
                continue
            write_bytes_atomic(folder / REVOCATIONS_FILE, revocations, durable=True)
            change: Change = "revoked" if known.revoked else "left"
            outcomes.append(described(known, "", change, folder))
        return outcomes

    def _outcome(self, participant: Participant, known: Known | None, change: Change) -> Outcome:
        folder = self._out / participant.name
        if known is not None:
            return described(known, participant.org, change, folder)
        role = participant.identity.role
        return Outcome(participant.name, role, participant.org, change, folder, None, None)


def _digests(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: sha256(data).hexdigest() for name, data in files.items()}
