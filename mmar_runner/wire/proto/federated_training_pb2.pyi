from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ClientState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CLIENT_STATE_UNKNOWN: _ClassVar[ClientState]
    CLIENT_STATE_IDLE: _ClassVar[ClientState]
    CLIENT_STATE_TRAINING: _ClassVar[ClientState]
    CLIENT_STATE_VALIDATING: _ClassVar[ClientState]
CLIENT_STATE_UNKNOWN: ClientState
CLIENT_STATE_IDLE: ClientState
CLIENT_STATE_TRAINING: ClientState
CLIENT_STATE_VALIDATING: ClientState

class RegisterRequest(_message.Message):
    __slots__ = ("client_name", "session_key", "task_name", "mmar_digest", "runner_version", "revocations_version", "cross_validate", "update_codecs", "compressions", "combines", "serves_at")
    CLIENT_NAME_FIELD_NUMBER: _ClassVar[int]
    SESSION_KEY_FIELD_NUMBER: _ClassVar[int]
    TASK_NAME_FIELD_NUMBER: _ClassVar[int]
    MMAR_DIGEST_FIELD_NUMBER: _ClassVar[int]
    RUNNER_VERSION_FIELD_NUMBER: _ClassVar[int]
    REVOCATIONS_VERSION_FIELD_NUMBER: _ClassVar[int]
    CROSS_VALIDATE_FIELD_NUMBER: _ClassVar[int]
    UPDATE_CODECS_FIELD_NUMBER: _ClassVar[int]
    COMPRESSIONS_FIELD_NUMBER: _ClassVar[int]
    COMBINES_FIELD_NUMBER: _ClassVar[int]
    SERVES_AT_FIELD_NUMBER: _ClassVar[int]
    client_name: str
    session_key: bytes
    task_name: str
    mmar_digest: str
    runner_version: str
    revocations_version: int
    cross_validate: bool
    update_codecs: _containers.RepeatedScalarFieldContainer[str]
    compressions: _containers.RepeatedScalarFieldContainer[str]
    combines: bool
    serves_at: str
    def __init__(self, client_name: _Optional[str] = ..., session_key: _Optional[bytes] = ..., task_name: _Optional[str] = ..., mmar_digest: _Optional[str] = ..., runner_version: _Optional[str] = ..., revocations_version: _Optional[int] = ..., cross_validate: _Optional[bool] = ..., update_codecs: _Optional[_Iterable[str]] = ..., compressions: _Optional[_Iterable[str]] = ..., combines: _Optional[bool] = ..., serves_at: _Optional[str] = ...) -> None: ...

class RegisterReply(_message.Message):
    __slots__ = ("token", "run_number", "seed", "num_rounds", "start_round", "lease_seconds", "result_topics", "server_mmar_digest", "inline_bytes", "current_round", "token_seconds", "revocations", "epoch", "run_id", "update_codec", "compression", "validate_every", "assigns")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    RUN_NUMBER_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    NUM_ROUNDS_FIELD_NUMBER: _ClassVar[int]
    START_ROUND_FIELD_NUMBER: _ClassVar[int]
    LEASE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    RESULT_TOPICS_FIELD_NUMBER: _ClassVar[int]
    SERVER_MMAR_DIGEST_FIELD_NUMBER: _ClassVar[int]
    INLINE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CURRENT_ROUND_FIELD_NUMBER: _ClassVar[int]
    TOKEN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    REVOCATIONS_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    UPDATE_CODEC_FIELD_NUMBER: _ClassVar[int]
    COMPRESSION_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_EVERY_FIELD_NUMBER: _ClassVar[int]
    ASSIGNS_FIELD_NUMBER: _ClassVar[int]
    token: str
    run_number: int
    seed: int
    num_rounds: int
    start_round: int
    lease_seconds: float
    result_topics: _containers.RepeatedScalarFieldContainer[str]
    server_mmar_digest: str
    inline_bytes: int
    current_round: int
    token_seconds: float
    revocations: bytes
    epoch: str
    run_id: str
    update_codec: str
    compression: str
    validate_every: int
    assigns: bool
    def __init__(self, token: _Optional[str] = ..., run_number: _Optional[int] = ..., seed: _Optional[int] = ..., num_rounds: _Optional[int] = ..., start_round: _Optional[int] = ..., lease_seconds: _Optional[float] = ..., result_topics: _Optional[_Iterable[str]] = ..., server_mmar_digest: _Optional[str] = ..., inline_bytes: _Optional[int] = ..., current_round: _Optional[int] = ..., token_seconds: _Optional[float] = ..., revocations: _Optional[bytes] = ..., epoch: _Optional[str] = ..., run_id: _Optional[str] = ..., update_codec: _Optional[str] = ..., compression: _Optional[str] = ..., validate_every: _Optional[int] = ..., assigns: _Optional[bool] = ...) -> None: ...

class QuitRequest(_message.Message):
    __slots__ = ("token", "comment")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    token: str
    comment: str
    def __init__(self, token: _Optional[str] = ..., comment: _Optional[str] = ...) -> None: ...

class QuitReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SiteState(_message.Message):
    __slots__ = ("path", "state", "round")
    PATH_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    path: str
    state: ClientState
    round: int
    def __init__(self, path: _Optional[str] = ..., state: _Optional[_Union[ClientState, str]] = ..., round: _Optional[int] = ...) -> None: ...

class HeartbeatRequest(_message.Message):
    __slots__ = ("token", "state", "round", "revocations_version", "step", "steps", "below")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    REVOCATIONS_VERSION_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    BELOW_FIELD_NUMBER: _ClassVar[int]
    token: str
    state: ClientState
    round: int
    revocations_version: int
    step: int
    steps: int
    below: _containers.RepeatedCompositeFieldContainer[SiteState]
    def __init__(self, token: _Optional[str] = ..., state: _Optional[_Union[ClientState, str]] = ..., round: _Optional[int] = ..., revocations_version: _Optional[int] = ..., step: _Optional[int] = ..., steps: _Optional[int] = ..., below: _Optional[_Iterable[_Union[SiteState, _Mapping]]] = ...) -> None: ...

class HeartbeatReply(_message.Message):
    __slots__ = ("lease_seconds", "current_round", "token", "revocations")
    LEASE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CURRENT_ROUND_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    REVOCATIONS_FIELD_NUMBER: _ClassVar[int]
    lease_seconds: float
    current_round: int
    token: str
    revocations: bytes
    def __init__(self, lease_seconds: _Optional[float] = ..., current_round: _Optional[int] = ..., token: _Optional[str] = ..., revocations: _Optional[bytes] = ...) -> None: ...

class PackedChunk(_message.Message):
    __slots__ = ("raw_bytes", "data")
    RAW_BYTES_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    raw_bytes: int
    data: bytes
    def __init__(self, raw_bytes: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("token", "after_round", "after_attempt", "offset", "sha256", "model_id")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    AFTER_ROUND_FIELD_NUMBER: _ClassVar[int]
    AFTER_ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    token: str
    after_round: int
    after_attempt: int
    offset: int
    sha256: str
    model_id: str
    def __init__(self, token: _Optional[str] = ..., after_round: _Optional[int] = ..., after_attempt: _Optional[int] = ..., offset: _Optional[int] = ..., sha256: _Optional[str] = ..., model_id: _Optional[str] = ...) -> None: ...

class ModelHeader(_message.Message):
    __slots__ = ("round", "total_bytes", "sha256", "offset", "inline", "end", "attempt", "cross_site", "owner", "complete", "packed", "sites", "needed")
    ROUND_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    INLINE_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    CROSS_SITE_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    PACKED_FIELD_NUMBER: _ClassVar[int]
    SITES_FIELD_NUMBER: _ClassVar[int]
    NEEDED_FIELD_NUMBER: _ClassVar[int]
    round: int
    total_bytes: int
    sha256: str
    offset: int
    inline: bytes
    end: RunEnd
    attempt: int
    cross_site: bool
    owner: str
    complete: bool
    packed: bool
    sites: _containers.RepeatedScalarFieldContainer[str]
    needed: int
    def __init__(self, round: _Optional[int] = ..., total_bytes: _Optional[int] = ..., sha256: _Optional[str] = ..., offset: _Optional[int] = ..., inline: _Optional[bytes] = ..., end: _Optional[_Union[RunEnd, _Mapping]] = ..., attempt: _Optional[int] = ..., cross_site: _Optional[bool] = ..., owner: _Optional[str] = ..., complete: _Optional[bool] = ..., packed: _Optional[bool] = ..., sites: _Optional[_Iterable[str]] = ..., needed: _Optional[int] = ...) -> None: ...

class RunEnd(_message.Message):
    __slots__ = ("status", "reason")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    status: str
    reason: str
    def __init__(self, status: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class GetValidationModelsRequest(_message.Message):
    __slots__ = ("token", "offset", "sha256")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    token: str
    offset: int
    sha256: str
    def __init__(self, token: _Optional[str] = ..., offset: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...

class CrossSiteResult(_message.Message):
    __slots__ = ("token", "run_number", "owner", "sha256", "metrics", "reason", "message")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    RUN_NUMBER_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    token: str
    run_number: int
    owner: str
    sha256: str
    metrics: _containers.ScalarMap[str, float]
    reason: str
    message: str
    def __init__(self, token: _Optional[str] = ..., run_number: _Optional[int] = ..., owner: _Optional[str] = ..., sha256: _Optional[str] = ..., metrics: _Optional[_Mapping[str, float]] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class CrossSiteResultReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ModelPart(_message.Message):
    __slots__ = ("header", "data", "packed")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    PACKED_FIELD_NUMBER: _ClassVar[int]
    header: ModelHeader
    data: bytes
    packed: PackedChunk
    def __init__(self, header: _Optional[_Union[ModelHeader, _Mapping]] = ..., data: _Optional[bytes] = ..., packed: _Optional[_Union[PackedChunk, _Mapping]] = ...) -> None: ...

class UpdateShare(_message.Message):
    __slots__ = ("path", "weight", "num_samples", "metrics", "validation", "seconds_train", "seconds_upload", "bytes", "wire_bytes", "codec", "codec_error")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class ValidationEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    PATH_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    NUM_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_FIELD_NUMBER: _ClassVar[int]
    SECONDS_TRAIN_FIELD_NUMBER: _ClassVar[int]
    SECONDS_UPLOAD_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    WIRE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CODEC_FIELD_NUMBER: _ClassVar[int]
    CODEC_ERROR_FIELD_NUMBER: _ClassVar[int]
    path: str
    weight: float
    num_samples: float
    metrics: _containers.ScalarMap[str, float]
    validation: _containers.ScalarMap[str, float]
    seconds_train: float
    seconds_upload: float
    bytes: int
    wire_bytes: int
    codec: str
    codec_error: float
    def __init__(self, path: _Optional[str] = ..., weight: _Optional[float] = ..., num_samples: _Optional[float] = ..., metrics: _Optional[_Mapping[str, float]] = ..., validation: _Optional[_Mapping[str, float]] = ..., seconds_train: _Optional[float] = ..., seconds_upload: _Optional[float] = ..., bytes: _Optional[int] = ..., wire_bytes: _Optional[int] = ..., codec: _Optional[str] = ..., codec_error: _Optional[float] = ...) -> None: ...

class UpdateBegin(_message.Message):
    __slots__ = ("token", "run_number", "round", "base_sha256", "total_bytes", "update_id", "num_samples", "kind", "metrics", "validation", "seconds_train", "inline", "sha256", "codec", "codec_error", "packed", "parts")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class ValidationEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    RUN_NUMBER_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    BASE_SHA256_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    UPDATE_ID_FIELD_NUMBER: _ClassVar[int]
    NUM_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_FIELD_NUMBER: _ClassVar[int]
    SECONDS_TRAIN_FIELD_NUMBER: _ClassVar[int]
    INLINE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    CODEC_FIELD_NUMBER: _ClassVar[int]
    CODEC_ERROR_FIELD_NUMBER: _ClassVar[int]
    PACKED_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    token: str
    run_number: int
    round: int
    base_sha256: str
    total_bytes: int
    update_id: str
    num_samples: float
    kind: str
    metrics: _containers.ScalarMap[str, float]
    validation: _containers.ScalarMap[str, float]
    seconds_train: float
    inline: bytes
    sha256: str
    codec: str
    codec_error: float
    packed: bool
    parts: _containers.RepeatedCompositeFieldContainer[UpdateShare]
    def __init__(self, token: _Optional[str] = ..., run_number: _Optional[int] = ..., round: _Optional[int] = ..., base_sha256: _Optional[str] = ..., total_bytes: _Optional[int] = ..., update_id: _Optional[str] = ..., num_samples: _Optional[float] = ..., kind: _Optional[str] = ..., metrics: _Optional[_Mapping[str, float]] = ..., validation: _Optional[_Mapping[str, float]] = ..., seconds_train: _Optional[float] = ..., inline: _Optional[bytes] = ..., sha256: _Optional[str] = ..., codec: _Optional[str] = ..., codec_error: _Optional[float] = ..., packed: _Optional[bool] = ..., parts: _Optional[_Iterable[_Union[UpdateShare, _Mapping]]] = ...) -> None: ...

class UpdateCommit(_message.Message):
    __slots__ = ("sha256",)
    SHA256_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    def __init__(self, sha256: _Optional[str] = ...) -> None: ...

class TaskFailure(_message.Message):
    __slots__ = ("token", "run_number", "round", "reason", "message", "attempt", "log")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    RUN_NUMBER_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    token: str
    run_number: int
    round: int
    reason: str
    message: str
    attempt: int
    log: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, token: _Optional[str] = ..., run_number: _Optional[int] = ..., round: _Optional[int] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., attempt: _Optional[int] = ..., log: _Optional[_Iterable[str]] = ...) -> None: ...

class UpdatePart(_message.Message):
    __slots__ = ("begin", "data", "commit", "failure", "packed")
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    PACKED_FIELD_NUMBER: _ClassVar[int]
    begin: UpdateBegin
    data: bytes
    commit: UpdateCommit
    failure: TaskFailure
    packed: PackedChunk
    def __init__(self, begin: _Optional[_Union[UpdateBegin, _Mapping]] = ..., data: _Optional[bytes] = ..., commit: _Optional[_Union[UpdateCommit, _Mapping]] = ..., failure: _Optional[_Union[TaskFailure, _Mapping]] = ..., packed: _Optional[_Union[PackedChunk, _Mapping]] = ...) -> None: ...

class UpdateReady(_message.Message):
    __slots__ = ("offset", "credits")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    offset: int
    credits: int
    def __init__(self, offset: _Optional[int] = ..., credits: _Optional[int] = ...) -> None: ...

class UpdateCredit(_message.Message):
    __slots__ = ("credits", "offset")
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    credits: int
    offset: int
    def __init__(self, credits: _Optional[int] = ..., offset: _Optional[int] = ...) -> None: ...

class UpdateReceipt(_message.Message):
    __slots__ = ("duplicate", "round")
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    duplicate: bool
    round: int
    def __init__(self, duplicate: _Optional[bool] = ..., round: _Optional[int] = ...) -> None: ...

class UpdateReply(_message.Message):
    __slots__ = ("ready", "credit", "receipt")
    READY_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    ready: UpdateReady
    credit: UpdateCredit
    receipt: UpdateReceipt
    def __init__(self, ready: _Optional[_Union[UpdateReady, _Mapping]] = ..., credit: _Optional[_Union[UpdateCredit, _Mapping]] = ..., receipt: _Optional[_Union[UpdateReceipt, _Mapping]] = ...) -> None: ...

class ExchangeRequest(_message.Message):
    __slots__ = ("token", "run_number", "round", "topic", "phase", "payload")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    RUN_NUMBER_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    token: str
    run_number: int
    round: int
    topic: str
    phase: str
    payload: bytes
    def __init__(self, token: _Optional[str] = ..., run_number: _Optional[int] = ..., round: _Optional[int] = ..., topic: _Optional[str] = ..., phase: _Optional[str] = ..., payload: _Optional[bytes] = ...) -> None: ...

class ExchangeReply(_message.Message):
    __slots__ = ("payload",)
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    payload: bytes
    def __init__(self, payload: _Optional[bytes] = ...) -> None: ...
