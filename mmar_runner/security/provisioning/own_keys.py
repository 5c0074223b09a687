# SPDX-License-Identifier: Apache-2.0
"""Making one's own keys, and the request that goes to the authority."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mmar_runner.errors import UsageError
from mmar_runner.security.kits.files import KIT_FILES, REQUEST_FILE
from mmar_runner.security.pki.keys import load_release_key, load_tls_key
from mmar_runner.security.pki.requests import make_request
from mmar_runner.security.provisioning.kit_contents import site_policy
from mmar_runner.security.provisioning.kit_writing import make_keys
from mmar_runner.security.provisioning.project_checks import name_fault, project_name_fault
from mmar_runner.security.provisioning.rekeying import make_waiting_keys, take_waiting_keys
from mmar_runner.storage.atomic import write_bytes_atomic

if TYPE_CHECKING:
    from mmar_runner.security.identity import Identity


def make_own_keys(identity: Identity, out: Path, *, new_key: bool = False) -> Path:
    """Make a participant's own keys and the request that goes to the authority.

    Calling it again makes the same request for the same keys.

    Args:
        identity: Who asks.
        out: The folder in which its kit's folder is made.
        new_key: True to replace keys that are there: they were stolen.

    Returns:
        The request; the kit that comes back is laid over the folder it is in.

    Raises:
        UsageError: The name cannot be a participant's, or the project's cannot be one.
        KitError: A key that is there cannot be used.
        StorageError: The disk refuses.
    """
    fault = name_fault(identity.role, identity.name)
    fault = fault or project_name_fault(identity.project)
    if fault is not None:
        raise UsageError(fault)
    folder, files = out / identity.name, KIT_FILES[identity.role]
    if new_key:
        make_waiting_keys(folder, identity.role)
        take_waiting_keys(folder, identity.role)
    make_keys(folder, identity.role)
    release = load_release_key(folder / files.release_key) if files.release_key else None
    pem = make_request(identity, load_tls_key(folder / files.key), release)
    asked = (folder / REQUEST_FILE).exists()  # then there was a policy, and its rules are gone
    if files.policy and not asked and not (folder / files.policy).exists():
        write_bytes_atomic(folder / files.policy, site_policy(), durable=True)
    write_bytes_atomic(folder / REQUEST_FILE, pem, durable=True)
    return folder / REQUEST_FILE
