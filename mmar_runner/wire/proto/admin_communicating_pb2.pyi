from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class ResultRequest(_message.Message):
    __slots__ = ("token", "topic", "result")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    token: str
    topic: str
    result: bytes
    def __init__(self, token: _Optional[str] = ..., topic: _Optional[str] = ..., result: _Optional[bytes] = ...) -> None: ...

class ResultReply(_message.Message):
    __slots__ = ("reply",)
    REPLY_FIELD_NUMBER: _ClassVar[int]
    reply: bytes
    def __init__(self, reply: _Optional[bytes] = ...) -> None: ...

class RetrieveRequest(_message.Message):
    __slots__ = ("client_name", "session_key", "runner_version", "revocations_version")
    CLIENT_NAME_FIELD_NUMBER: _ClassVar[int]
    SESSION_KEY_FIELD_NUMBER: _ClassVar[int]
    RUNNER_VERSION_FIELD_NUMBER: _ClassVar[int]
    REVOCATIONS_VERSION_FIELD_NUMBER: _ClassVar[int]
    client_name: str
    session_key: bytes
    runner_version: str
    revocations_version: int
    def __init__(self, client_name: _Optional[str] = ..., session_key: _Optional[bytes] = ..., runner_version: _Optional[str] = ..., revocations_version: _Optional[int] = ...) -> None: ...

class AdminRequest(_message.Message):
    __slots__ = ("request_id", "order", "context", "seconds", "revocations")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    REVOCATIONS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    order: bytes
    context: bytes
    seconds: float
    revocations: bytes
    def __init__(self, request_id: _Optional[str] = ..., order: _Optional[bytes] = ..., context: _Optional[bytes] = ..., seconds: _Optional[float] = ..., revocations: _Optional[bytes] = ...) -> None: ...

class AdminReply(_message.Message):
    __slots__ = ("client_name", "request_id", "reply", "reason", "message", "hint")
    CLIENT_NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REPLY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    client_name: str
    request_id: str
    reply: bytes
    reason: str
    message: str
    hint: str
    def __init__(self, client_name: _Optional[str] = ..., request_id: _Optional[str] = ..., reply: _Optional[bytes] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., hint: _Optional[str] = ...) -> None: ...

class AdminReplyReceipt(_message.Message):
    __slots__ = ("awaited",)
    AWAITED_FIELD_NUMBER: _ClassVar[int]
    awaited: bool
    def __init__(self, awaited: _Optional[bool] = ...) -> None: ...
