from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AssignStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ASSIGN_STATUS_UNASSIGNED: _ClassVar[AssignStatus]
    ASSIGN_STATUS_ASSIGNED: _ClassVar[AssignStatus]
    ASSIGN_STATUS_TRY_AGAIN: _ClassVar[AssignStatus]
    ASSIGN_STATUS_UNAUTHORIZED: _ClassVar[AssignStatus]
    ASSIGN_STATUS_UNMATCHED_CONFIG: _ClassVar[AssignStatus]
ASSIGN_STATUS_UNASSIGNED: AssignStatus
ASSIGN_STATUS_ASSIGNED: AssignStatus
ASSIGN_STATUS_TRY_AGAIN: AssignStatus
ASSIGN_STATUS_UNAUTHORIZED: AssignStatus
ASSIGN_STATUS_UNMATCHED_CONFIG: AssignStatus

class AssignRequest(_message.Message):
    __slots__ = ("client_name", "preferred_combiner", "mmar_digest", "avoid")
    CLIENT_NAME_FIELD_NUMBER: _ClassVar[int]
    PREFERRED_COMBINER_FIELD_NUMBER: _ClassVar[int]
    MMAR_DIGEST_FIELD_NUMBER: _ClassVar[int]
    AVOID_FIELD_NUMBER: _ClassVar[int]
    client_name: str
    preferred_combiner: str
    mmar_digest: str
    avoid: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, client_name: _Optional[str] = ..., preferred_combiner: _Optional[str] = ..., mmar_digest: _Optional[str] = ..., avoid: _Optional[_Iterable[str]] = ...) -> None: ...

class AssignReply(_message.Message):
    __slots__ = ("status", "combiner", "target", "message", "retry_seconds", "serves")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    COMBINER_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SERVES_FIELD_NUMBER: _ClassVar[int]
    status: AssignStatus
    combiner: str
    target: str
    message: str
    retry_seconds: float
    serves: bool
    def __init__(self, status: _Optional[_Union[AssignStatus, str]] = ..., combiner: _Optional[str] = ..., target: _Optional[str] = ..., message: _Optional[str] = ..., retry_seconds: _Optional[float] = ..., serves: _Optional[bool] = ...) -> None: ...

class GetPackageRequest(_message.Message):
    __slots__ = ("offset", "sha256")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    offset: int
    sha256: str
    def __init__(self, offset: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...

class PackageHeader(_message.Message):
    __slots__ = ("name", "digest", "total_bytes", "sha256", "offset")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    name: str
    digest: str
    total_bytes: int
    sha256: str
    offset: int
    def __init__(self, name: _Optional[str] = ..., digest: _Optional[str] = ..., total_bytes: _Optional[int] = ..., sha256: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class PackagePart(_message.Message):
    __slots__ = ("header", "data")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    header: PackageHeader
    data: bytes
    def __init__(self, header: _Optional[_Union[PackageHeader, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class DeclineRequest(_message.Message):
    __slots__ = ("digest", "reason", "message")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    digest: str
    reason: str
    message: str
    def __init__(self, digest: _Optional[str] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class DeclineReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
