# SPDX-License-Identifier: Apache-2.0
"""What server and clients may agree on at Register: how updates travel, by name."""

from __future__ import annotations

from typing import Final

#: Codecs of an update's tensors, as ``update_codec`` and Register name them.
NONE: Final = "none"
FP16: Final = "fp16"
BF16: Final = "bf16"
#: Codecs of updates that filters have made whole numbers of; an aggregator takes one of them,
#: and nobody declares it as ``update_codec``.
I32: Final = "i32"
I64: Final = "i64"
WHOLE_CODECS: Final = (I32, I64)
#: How a combiner's partial sum travels, every tensor in float64. It is no run's codec: whoever
#: has registered as a combiner sends it, and nobody else.
PARTIAL: Final = "partial"
#: All of them that this version knows, for a run to agree on.
UPDATE_CODECS: Final = (NONE, FP16, BF16, *WHOLE_CODECS)

#: Compressions of chunks, as ``compression`` and Register name them.
ZSTD: Final = "zstd"
#: All of them that this version knows; `ZSTD` needs a library that is not always there.
COMPRESSIONS: Final = (NONE, ZSTD)
