# SPDX-License-Identifier: Apache-2.0
"""Writing the kits of a project: every run brings the folder to what the project file says.

A site's own policy is never touched, and what a run that was cut short left undone is
done by the next.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mmar_runner.security.kits.files import KIT_FILES, README_FILE, read_kit_file
from mmar_runner.security.pki import trust_root
from mmar_runner.security.pki.certificates import certificate_fingerprint
from mmar_runner.security.pki.envelope import key_id, load_public_key
from mmar_runner.security.pki.revocation import REVOCATIONS_FILE
from mmar_runner.security.policy.authorization_file import checked_authorization
from mmar_runner.security.policy.document import read_policy_document
from mmar_runner.security.provisioning import kit_contents, rekeying
from mmar_runner.security.provisioning.authority_folder import AUTHORIZATION_FILE
from mmar_runner.security.provisioning.kit_writing import check_own_key, write_kit
from mmar_runner.security.provisioning.outcome import Outcome, described
from mmar_runner.security.provisioning.revocation_issue import revocation_list
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
            also: Participants whose kits are written even if their folder is not there.

        Raises:
            KitError: Another private key stands in a kit (KEY_CHANGED).
            StorageError: The disk refuses.
        """
        shared = {
            "rootCA.pem": self._authority.root_pem,
            AUTHORIZATION_FILE: self._authorization(),
            trust_root.TRUST_FILE: self._trust(),
        }
        revocations = revocation_list(self._authority)
        present = [self._written(p, shared, revocations, also) for p in self._project.participants]
        return (*present, *self._former(revocations))

    def _authorization(self) -> bytes:
        if self._authority.state.authorization_given:
            return read_kit_file(self._authority.folder / AUTHORIZATION_FILE)
        return kit_contents.authorization(self._project)

    def _trust(self) -> bytes:
        keys = []
        for admin in self._project.admins:
            known = self._authority.state.known.get(admin.name)
            if known is not None and known.release_key is not None:
                pem = known.release_key
                identifier = key_id(load_public_key(pem.encode()))
                keys.append(trust_root.ReleaseKey(identifier, pem, admin.name, admin.org))
        root = certificate_fingerprint(self._authority.root_pem)
        return trust_root.dump(trust_root.TrustRoot(self._project.name, root, tuple(keys)))

    def _written(
        self,
        participant: Participant,
        shared: dict[str, bytes],
        revocations: bytes,
        also: tuple[str, ...],
    ) -> Outcome:
        known = self._authority.state.known.get(participant.name)
        folder = self._out / participant.name
        if known is None:
            return self._outcome(participant, None, "awaited")
        if not folder.is_dir() and participant.name not in also:
            return self._outcome(participant, known, "revoked" if known.revoked else "away")
        changed = self._write_one(participant, known, shared, revocations)
        change = self._changes.get(participant.name, "changed" if changed else "unchanged")
        return self._outcome(participant, known, "revoked" if known.revoked else change)

    def _write_one(
        self, participant: Participant, known: Known, shared: dict[str, bytes], revocations: bytes
    ) -> bool:
        folder, files = self._out / participant.name, KIT_FILES[known.role]
        pending = self._settled(folder, known)
        signed = dict(shared)
        config = kit_contents.config(self._project, participant)
        if files.config and config is not None:
            signed[files.config] = config
        if files.release_public and known.release_key is not None:
            signed[files.release_public] = known.release_key.encode()
        changed = write_kit(
            folder,
            participant.identity,
            signed=signed,
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
        """
        files = KIT_FILES[known.role]
        begins = not known.requested and not rekeying.was_rekeyed(known)
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
            change: Change = "revoked" if known.revoked else "unchanged"
            outcomes.append(described(known, "", change, folder))
        return outcomes

    def _outcome(self, participant: Participant, known: Known | None, change: Change) -> Outcome:
        folder = self._out / participant.name
        if known is not None:
            return described(known, participant.org, change, folder)
        role = participant.identity.role
        return Outcome(participant.name, role, participant.org, change, folder, None, None)


def give_authorization(authority: Authority, path: Path) -> None:
    """Take over an ``authorization.json`` for every kit, once it was checked.

    Args:
        authority: The project's authority, open.
        path: The file.

    Raises:
        UsageError: Something in it is wrong.
        StorageError: The disk refuses.
    """
    document = read_policy_document(path)
    checked_authorization(document)
    data = document.source.text.encode()  # what was checked, whatever the file holds by now
    write_bytes_atomic(authority.folder / AUTHORIZATION_FILE, data, durable=True)
    authority.remember(replace(authority.state, authorization_given=True))
