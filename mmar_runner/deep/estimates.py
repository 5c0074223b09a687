# SPDX-License-Identifier: Apache-2.0
"""What a round will move, keep and take, before there is one; pure."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from mmar_runner.documents.words import counted
from mmar_runner.interfaces.companions import companion_of
from mmar_runner.mmar.reports.deep import Figure, NetworkSize
from mmar_runner.server.records.room import files_at_once, room_needed, state_bytes
from mmar_runner.storage.codec_names import NONE
from mmar_runner.storage.codecs import CODECS
from mmar_runner.storage.dtypes import DTYPE_NAMES, holds_fractions
from mmar_runner.storage.model_schema import ModelSchema
from mmar_runner.storage.safetensors_format import encode_header

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmar_runner.deep.asking import Answers
    from mmar_runner.interfaces.network_facts import NetworkFacts
    from mmar_runner.mmar.spec import ServerSpec

#: What a server takes at most, whatever the model: a bound that `make bench` holds it to
#: (docs/reference/performance.md), and what each further session adds.
SERVER_BYTES: Final = 200 << 20
SESSION_BYTES: Final = 200 << 10


def size_of(facts: NetworkFacts) -> NetworkSize:
    """Return how large a network is; types that no file can hold count nothing."""
    schema = schema_of(facts)
    elements = sum(_count(shape) for _, _, shape in schema)
    return NetworkSize(len(facts.tensors), elements, schema.data_bytes)


def schema_of(facts: NetworkFacts) -> ModelSchema:
    """Return a network's tensors as a file holds them."""
    known = {n: (t.dtype, t.shape) for n, t in facts.tensors.items() if t.dtype in DTYPE_NAMES}
    return ModelSchema(MappingProxyType(known))


def estimates(server: ServerSpec, answers: Answers, companions: Sequence[str]) -> list[Figure]:
    """Return what is known of a round before there is one.

    Args:
        server: What the MMAR says of rounds.
        answers: What its networks and its aggregator are.
        companions: Tensors that travel beside the model's floating ones.
    """
    if answers.model is None:
        return []
    rule, clients = answers.rule, round_clients(server)
    model = _accompanied(schema_of(answers.model), companions, rule.excluded)
    codec = rule.takes.lower() if rule.takes else server.update_codec
    update = model.encoded(CODECS[codec]) if codec in CODECS else model
    down, up = _file_bytes(model), _file_bytes(update)
    state = state_bytes(rule.slots, model.fractions)
    updates, models = files_at_once(server, clients)
    kept = room_needed(0, 0, model=0, update=0, state=state)
    packed = "" if server.compression == NONE else f"before {server.compression} compresses it"
    in_codec = "" if codec == NONE else f"as {codec}"
    many = f"a round of {counted(clients, 'client')}"
    return [
        Figure("model_down", "a client: model down, a round", estimate=down, note=packed),
        Figure(
            "update_up",
            "a client: update up, a round",
            estimate=up,
            note=", ".join(filter(None, (in_codec, packed))),
        ),
        _trainer_memory(answers),
        Figure("sent", f"the server: sent, {many}", estimate=clients * down, note=packed),
        Figure("received", f"the server: received, {many}", estimate=clients * up, note=packed),
        Figure(
            "disk",
            f"the server: disk, {many}",
            estimate=room_needed(updates, models, model=down, update=up, state=state),
            parts={
                "updates": updates * up,
                "models": models * down,
                **({"aggregator": kept} if kept else {}),
            },
        ),
        Figure(
            "server_memory",
            "the server: memory, at most",
            estimate=SERVER_BYTES + clients * SESSION_BYTES,
            note="grows with sessions, never with the model",
        ),
    ]


def round_clients(server: ServerSpec) -> int:
    """Return of how many clients a round has updates at the least."""
    return max(server.clients_per_round or 0, server.min_num_clients)


def _trainer_memory(answers: Answers) -> Figure:
    words = "a client: memory of the trainer"
    memory = {} if answers.client is None else dict(answers.client.memory)
    if not memory or answers.libraries is None:
        return Figure("trainer_memory", words, note="not known")
    parts = {"libraries": answers.libraries, **memory}
    return Figure("trainer_memory", words, estimate=sum(parts.values()), parts=parts)


def _accompanied(
    model: ModelSchema, companions: Sequence[str], excluded: frozenset[str]
) -> ModelSchema:
    """Return a model with the companions that the server gives it."""
    tensors = dict(model.tensors)
    for sort in companions:
        for name, dtype, shape in model:
            if holds_fractions(dtype) and name not in excluded:
                tensors[companion_of(sort, name)] = (dtype, shape)
    return ModelSchema(MappingProxyType(tensors))


def _file_bytes(schema: ModelSchema) -> int:
    return len(encode_header(list(schema))) + schema.data_bytes


def _count(shape: Sequence[int]) -> int:
    count = 1
    for length in shape:
        count *= length
    return count
