# SPDX-License-Identifier: Apache-2.0
"""The error tree of the whole program.

::

    MmarRunnerError
    ├── UsageError                    a command was called wrongly              exit 2
    ├── InUseError                    another process has what this one needs   exit 1
    ├── MmarError
    │   ├── MmarUnreadableError       no folder, or none with a config/ in it   exit 2
    │   └── MmarInvalidError          the folder has findings of severity error exit 1
    ├── PluginError
    │   ├── PluginLoadError           a plugin cannot be imported or registered
    │   ├── PluginConflictError       two plugins claim one name
    │   ├── ComponentNotFoundError    nothing is registered under that name
    │   ├── ComponentBuildError       a component's constructor refused or failed
    │   └── ComponentFailedError      a component raised while it was used
    ├── StorageError
    │   ├── FormatError               bytes that are not the safetensors profile we accept
    │   ├── SchemaMismatchError       tensors other than the model's
    │   ├── NonFiniteError            NaN or infinity in a tensor
    │   ├── DigestError               the bytes are not those that were announced
    │   ├── DiskFullError             no space left; nothing was acknowledged
    │   └── JournalError              the journal cannot be opened, read or written
    ├── TrustError                    what was shown is not to be trusted         exit 1
    │   ├── CertificateError          expired, of another authority, revoked, ...
    │   ├── KitError                  a start-up kit is incomplete, altered or too open
    │   │   └── NoKitError            the folder that was named is none           exit 2
    │   ├── SignatureError            signatures, or files that are not the signed ones
    │   ├── PackageError              an archive that must not be unpacked
    │   ├── NotAuthorizedError        a policy says no
    │   └── AuditError                a line of the audit log is altered or missing
    ├── TaskError                     work in a child process did not succeed
    │   ├── TaskFailedError           the component raised
    │   │   └── SyntheticDataError    it makes no data up for a dry run
    │   ├── TaskTimeoutError          it outran its limit and was killed
    │   └── ChildDiedError            the process ended (exit, signal, memory)
    ├── WireError
    │   ├── RefusedError              the peer said no, with a stable reason
    │   ├── UnreachableError          nobody answers
    │   └── ProtocolError             the peer answered something impossible
    ├── PrivacyBudgetError            one more release would spend more than declared
    ├── OrderError                    what an administrator ordered cannot be done now
    ├── RunError
    │   ├── RunFailedError            the run ended without its rounds            exit 1
    │   └── RunStoppedError           the run stopped and can be resumed          exit 3
    └── ReportError                   no page can be made of a run                exit 1

Every error carries a stable ``reason`` (an upper-case id that also travels over
the wire and into ``--json`` output), and, where there is one, a ``hint``: the mend.
Errors of other libraries are translated at the edge where they enter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class MmarRunnerError(Exception):
    """Base of every error that this program raises on purpose.

    Args:
        message: What is wrong and where, in one sentence.
        hint: How to mend it, if that is known.
        reason: A stable id in place of the class's own.
    """

    default_reason: ClassVar[str] = "ERROR"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None, reason: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.reason = reason or self.default_reason

    @property
    def may_pass(self) -> bool:
        """Whether the same succeeds later, once there is space on this machine's disk."""
        return False


def default_reasons(root: type[MmarRunnerError] = MmarRunnerError) -> frozenset[str]:
    """Return the reasons that kinds of errors have by themselves.

    Args:
        root: Where in the tree to begin.
    """
    below = (default_reasons(kind) for kind in root.__subclasses__())
    return frozenset({root.default_reason}).union(*below)


class UsageError(MmarRunnerError):
    """A command was called wrongly."""

    default_reason = "USAGE"
    exit_code = 2


class InUseError(MmarRunnerError):
    """Another process has what this one needs; the same call succeeds once that has ended."""

    default_reason = "IN_USE"


class MmarError(MmarRunnerError):
    """An MMAR folder cannot be used."""

    default_reason = "MMAR"


class MmarUnreadableError(MmarError):
    """The folder cannot be read at all."""

    default_reason = "MMAR_UNREADABLE"
    exit_code = 2


class MmarInvalidError(MmarError):
    """The folder was read and has findings of severity error.

    ``findings`` holds them, for programs, each as in the schema ``validate_report``.
    """

    default_reason = "MMAR_INVALID"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        reason: str | None = None,
        findings: Sequence[Mapping[str, object]] = (),
    ) -> None:
        super().__init__(message, hint=hint, reason=reason)
        self.findings = findings


class PluginError(MmarRunnerError):
    """Something is wrong with a plugin or a component."""

    default_reason = "PLUGIN"


class PluginLoadError(PluginError):
    """A plugin cannot be imported or does not register properly."""

    default_reason = "PLUGIN_LOAD"


class PluginConflictError(PluginError):
    """Two plugins claim the same component name, or the same plugin name."""

    default_reason = "PLUGIN_CONFLICT"


class ComponentNotFoundError(PluginError):
    """No installed plugin registers a component of that kind and name."""

    default_reason = "COMPONENT_NOT_FOUND"


class ComponentBuildError(PluginError):
    """A component's module cannot be imported, or its constructor failed."""

    default_reason = "COMPONENT_BUILD"


class ComponentFailedError(PluginError):
    """A component raised while it was used."""

    default_reason = "COMPONENT_FAILED"


class StorageError(MmarRunnerError):
    """Bytes on disk, or on their way there, are not what they must be."""

    default_reason = "STORAGE"


class FormatError(StorageError):
    """The bytes are not a safetensors file of the profile accepted here."""

    default_reason = "FORMAT"


class SchemaMismatchError(StorageError):
    """The tensors are not those of the model: name, shape or dtype differ."""

    default_reason = "SCHEMA"


class NonFiniteError(StorageError):
    """A tensor holds NaN or an infinity."""

    default_reason = "NON_FINITE"


class DigestError(StorageError):
    """The bytes do not have the announced length or sha256."""

    default_reason = "DIGEST"


class DiskFullError(StorageError):
    """No space is left; nothing that was not stored has been acknowledged."""

    default_reason = "DISK_FULL"

    @property
    def may_pass(self) -> bool:
        """It does."""
        return True


class JournalError(StorageError):
    """The journal cannot be opened, read or written."""

    default_reason = "JOURNAL"


class TrustError(MmarRunnerError):
    """Somebody, or something, is not to be trusted."""

    default_reason = "TRUST"


class CertificateError(TrustError):
    """A certificate does not hold: its time, its authority, its name or its role."""

    default_reason = "CERT_INVALID"


class KitError(TrustError):
    """A start-up kit is incomplete, was altered, or lets others read its keys."""

    default_reason = "KIT"


class NoKitError(KitError):
    """The folder that was named is no start-up kit, or is not there."""

    default_reason = "KIT_INCOMPLETE"
    exit_code = 2


class SignatureError(TrustError):
    """Signatures do not suffice, or files are not those that were signed."""

    default_reason = "SIGNATURE"


class PackageError(TrustError):
    """An archive holds what must not be unpacked, or is none; nothing was unpacked."""

    default_reason = "PACKAGE"


class NotAuthorizedError(TrustError):
    """A policy says no."""

    default_reason = "NOT_AUTHORIZED"


class AuditError(TrustError):
    """The audit log was altered, or cannot be written."""

    default_reason = "AUDIT"

    @property
    def may_pass(self) -> bool:
        """A log that cannot be written now may be written later; an altered one stays so."""
        return self.reason == "AUDIT_WRITE"


class TaskError(MmarRunnerError):
    """Work in a child process did not succeed; the parent process lives on.

    ``log`` holds the last lines that the child logged since it was asked, as they are: they
    may say what must not leave the machine.
    """

    default_reason = "TASK"
    log: tuple[str, ...] = ()

    @property
    def own_words(self) -> bool:
        """Whether the message is the parent's own, with nothing in it that the child said."""
        return False


class TaskFailedError(TaskError):
    """The component raised. ``details`` holds the child's traceback, for ``-v`` and logs."""

    default_reason = "TASK_FAILED"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        reason: str | None = None,
        details: str = "",
    ) -> None:
        super().__init__(message, hint=hint, reason=reason)
        self.details = details


class SyntheticDataError(TaskFailedError):
    """A component was to work on made-up data, and makes none up."""

    default_reason = "NO_SYNTHETIC_DATA"


class TaskTimeoutError(TaskError):
    """The task outran its limit; its process group was killed."""

    default_reason = "TASK_TIMEOUT"

    @property
    def own_words(self) -> bool:
        """They are."""
        return True


class TaskStalledError(TaskError):
    """The task made no further step for too long; its process group was killed."""

    default_reason = "TASK_STALLED"

    @property
    def own_words(self) -> bool:
        """They are."""
        return True


class ChildDiedError(TaskError):
    """The child process ended before it answered."""

    default_reason = "CHILD_DIED"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        reason: str | None = None,
        own_words: bool = False,
    ) -> None:
        super().__init__(message, hint=hint, reason=reason)
        self._own_words = own_words

    @property
    def own_words(self) -> bool:
        """Whether the message says no more than how the process ended."""
        return self._own_words


class WireError(MmarRunnerError):
    """Talking to a peer did not succeed."""

    default_reason = "WIRE"


class RefusedError(WireError):
    """The peer refused a call. ``reason`` is the id it gave."""

    default_reason = "REFUSED"


class UnreachableError(WireError):
    """Nobody answers at that address."""

    default_reason = "UNREACHABLE"


class ProtocolError(WireError):
    """The peer answered something that the protocol does not allow."""

    default_reason = "PROTOCOL"


class PrivacyBudgetError(MmarRunnerError):
    """One more release would spend more privacy than was declared; it was not made."""

    default_reason = "PRIVACY_BUDGET"


class OrderError(MmarRunnerError):
    """What an administrator ordered cannot be done as things are; nothing was changed."""

    default_reason = "ORDER"


class RunError(MmarRunnerError):
    """A run ended before it was finished."""

    default_reason = "RUN"


class RunFailedError(RunError):
    """The run cannot be finished."""

    default_reason = "RUN_FAILED"


class RunStoppedError(RunError):
    """The run was stopped; the same command resumes it."""

    default_reason = "RUN_STOPPED"
    exit_code = 3


class ReportError(MmarRunnerError):
    """No page can be made of a run."""

    default_reason = "NOT_A_RUN"
