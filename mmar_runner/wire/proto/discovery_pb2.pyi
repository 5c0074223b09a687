from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

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
