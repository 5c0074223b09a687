from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LoginRequest(_message.Message):
    __slots__ = ("user", "runner_version")
    USER_FIELD_NUMBER: _ClassVar[int]
    RUNNER_VERSION_FIELD_NUMBER: _ClassVar[int]
    user: str
    runner_version: str
    def __init__(self, user: _Optional[str] = ..., runner_version: _Optional[str] = ...) -> None: ...

class LoginReply(_message.Message):
    __slots__ = ("token", "idle_seconds", "project", "commands", "clients", "server_version")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    IDLE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    COMMANDS_FIELD_NUMBER: _ClassVar[int]
    CLIENTS_FIELD_NUMBER: _ClassVar[int]
    SERVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    token: str
    idle_seconds: float
    project: str
    commands: bytes
    clients: _containers.RepeatedScalarFieldContainer[str]
    server_version: str
    def __init__(self, token: _Optional[str] = ..., idle_seconds: _Optional[float] = ..., project: _Optional[str] = ..., commands: _Optional[bytes] = ..., clients: _Optional[_Iterable[str]] = ..., server_version: _Optional[str] = ...) -> None: ...

class LogoutRequest(_message.Message):
    __slots__ = ("token",)
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    token: str
    def __init__(self, token: _Optional[str] = ...) -> None: ...

class LogoutReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ExecuteRequest(_message.Message):
    __slots__ = ("token", "order")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    token: str
    order: bytes
    def __init__(self, token: _Optional[str] = ..., order: _Optional[bytes] = ...) -> None: ...

class ExecutePart(_message.Message):
    __slots__ = ("event",)
    EVENT_FIELD_NUMBER: _ClassVar[int]
    event: bytes
    def __init__(self, event: _Optional[bytes] = ...) -> None: ...

class UploadBegin(_message.Message):
    __slots__ = ("token", "order", "total_bytes")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    token: str
    order: bytes
    total_bytes: int
    def __init__(self, token: _Optional[str] = ..., order: _Optional[bytes] = ..., total_bytes: _Optional[int] = ...) -> None: ...

class UploadCommit(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class UploadPart(_message.Message):
    __slots__ = ("begin", "data", "commit")
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    begin: UploadBegin
    data: bytes
    commit: UploadCommit
    def __init__(self, begin: _Optional[_Union[UploadBegin, _Mapping]] = ..., data: _Optional[bytes] = ..., commit: _Optional[_Union[UploadCommit, _Mapping]] = ...) -> None: ...

class UploadReady(_message.Message):
    __slots__ = ("offset", "credits")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    offset: int
    credits: int
    def __init__(self, offset: _Optional[int] = ..., credits: _Optional[int] = ...) -> None: ...

class UploadCredit(_message.Message):
    __slots__ = ("credits",)
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    credits: int
    def __init__(self, credits: _Optional[int] = ...) -> None: ...

class UploadReceipt(_message.Message):
    __slots__ = ("event",)
    EVENT_FIELD_NUMBER: _ClassVar[int]
    event: bytes
    def __init__(self, event: _Optional[bytes] = ...) -> None: ...

class UploadReply(_message.Message):
    __slots__ = ("ready", "credit", "receipt")
    READY_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    ready: UploadReady
    credit: UploadCredit
    receipt: UploadReceipt
    def __init__(self, ready: _Optional[_Union[UploadReady, _Mapping]] = ..., credit: _Optional[_Union[UploadCredit, _Mapping]] = ..., receipt: _Optional[_Union[UploadReceipt, _Mapping]] = ...) -> None: ...

class DownloadRequest(_message.Message):
    __slots__ = ("token", "order", "offset", "sha256")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    token: str
    order: bytes
    offset: int
    sha256: str
    def __init__(self, token: _Optional[str] = ..., order: _Optional[bytes] = ..., offset: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...

class DownloadHeader(_message.Message):
    __slots__ = ("name", "total_bytes", "sha256", "offset")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    name: str
    total_bytes: int
    sha256: str
    offset: int
    def __init__(self, name: _Optional[str] = ..., total_bytes: _Optional[int] = ..., sha256: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class DownloadPart(_message.Message):
    __slots__ = ("header", "data")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    header: DownloadHeader
    data: bytes
    def __init__(self, header: _Optional[_Union[DownloadHeader, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...
