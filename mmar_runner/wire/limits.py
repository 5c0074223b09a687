# SPDX-License-Identifier: Apache-2.0
"""Limits of the wire, each with its unit. They are enforced where bytes enter."""

from typing import Final

#: Bytes of a model or update in one message. 64 KiB chunks are three times slower.
CHUNK_BYTES: Final = 1 << 20
#: An update or model of at most this many bytes travels inside one message.
INLINE_BYTES: Final = 64 << 10
#: The largest message a client accepts, in bytes (gRPC counts it decompressed).
MAX_MESSAGE_BYTES: Final = 4 << 20
#: The largest message a server accepts: a chunk, or what a client says beside one, and some.
MAX_REQUEST_BYTES: Final = 2 * CHUNK_BYTES + (64 << 10)
#: The largest request metadata, in bytes.
MAX_METADATA_BYTES: Final = 16 << 10
#: The largest JSON result, in bytes.
MAX_RESULT_BYTES: Final = 256 << 10
#: The largest payload of one phase of an exchange, and of its answer, in bytes.
MAX_EXCHANGE_BYTES: Final = 1 << 20
#: Chunks of one upload that may be under way unacknowledged, at most.
UPLOAD_WINDOW_CHUNKS: Final = 8
#: Chunks of all uploads that a server has under way; each upload may have at least one.
UPLOAD_CHUNKS: Final = 8
#: Bytes of all downloads that a server has in hand, and the least of a chunk of one of them,
#: or of an upload over a slow line.
DOWNLOAD_BYTES: Final = 4 << 20
LEAST_CHUNK_BYTES: Final = 64 << 10
#: Bytes that gRPC may read ahead of the application, per stream: at a client, and at a
#: server, which does so for whoever is connected.
LOOKAHEAD_BYTES: Final = 4 << 20
SERVER_LOOKAHEAD_BYTES: Final = 1 << 20
#: How long a connection may be silent until it is probed, and how long the answer may take, in
#: ms. On a slow line the answer would wait behind all that is under way: there bytes have to
#: come from the other side often enough that nobody probes. The second is also how long the
#: kernel (as TCP_USER_TIMEOUT) lets a peer take nothing of what it is sent.
KEEPALIVE_TIME_MS: Final = 20_000
KEEPALIVE_TIMEOUT_MS: Final = 20_000
#: How often a peer may probe a connection without data, in ms.
LEAST_PROBE_PAUSE_MS: Final = 10_000
#: How long a peer may take for its part of the handshake, in ms.
HANDSHAKE_TIMEOUT_MS: Final = 10_000
#: How long a connection may have no call running, in ms: whose it is, no program is told
#: before there is a call. A session always has one.
CONNECTION_IDLE_MS: Final = 15_000
#: How long one attempt to connect may take, and the longest pause before the next, in ms.
CONNECT_TIMEOUT_MS: Final = 5_000
RECONNECT_MS: Final = 1_000
#: How long a caller may take until the message of its call is there, in seconds.
REQUEST_SECONDS: Final = 30.0
#: How long a peer may take to read a reply of a few bytes, in seconds; the last one of a
#: call that is to end.
WRITE_SECONDS: Final = 30.0
LAST_WRITE_SECONDS: Final = 2.0
#: Streams that one connection may hold open.
MAX_STREAMS_PER_CONNECTION: Final = 16
