# SPDX-License-Identifier: Apache-2.0
"""What ``status.json`` says, as types: for who writes it, and for who reads it.

The file's own description is the schema ``run_status``; whatever was read is checked against
that, and what is returned here has its words as members of their types.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict, cast

from mmar_runner.documents.schema_check import faults
from mmar_runner.documents.schema_store import load_schema
from mmar_runner.federation.client_status import ClientStatus
from mmar_runner.federation.run_status import RunStatus

if TYPE_CHECKING:
    from mmar_runner.federation.client_status import Progress


class SiteFacts(TypedDict):
    """One site below a combiner: its way there, and what it said last that it was doing."""

    name: str
    state: ClientStatus
    round: int | None


class ClientFacts(TypedDict):
    """One client; times are UTC, as ISO 8601 writes them."""

    name: str
    state: ClientStatus
    since: str | None
    round: int | None
    last_heard: str | None
    progress: Progress | None
    below: NotRequired[list[SiteFacts]]  # of a combiner that has said something of its sites


class MissingFacts(TypedDict):
    """One client or site that the run waits for, and since when."""

    name: str
    since: str | None


class FailureFacts(TypedDict):
    """One component that failed at one kind of event while the run went on, and how often."""

    component: str
    event: str
    times: int
    first_round: int | None
    last_round: int | None
    message: str


class OutlierFacts(TypedDict):
    """A client whose updates were unlike the others', and in which rounds."""

    client: str
    times: int
    first_round: int
    last_round: int
    message: str


class RunFacts(TypedDict):
    """What a run is at, and what it waits for since when."""

    status: RunStatus
    reason: str
    run_number: int
    num_rounds: int | None
    round: int
    min_clients: NotRequired[int]  # an earlier program wrote none
    waiting_for: str
    since: str | None
    clients: list[ClientFacts]
    missing: list[MissingFacts]
    components_failed: NotRequired[list[FailureFacts]]  # an earlier program wrote none
    outliers: NotRequired[list[OutlierFacts]]  # an earlier program wrote none
    aggregation: NotRequired[Mapping[str, Any]]  # if the aggregator says something


class WrittenFacts(RunFacts):
    """The whole file: whose word it is as well, and of when."""

    pid: int | None
    updated: str | None


def written_facts(value: Mapping[str, Any]) -> WrittenFacts:
    """Return what the content of a ``status.json`` says; keys of a later version stay.

    Raises:
        ValueError: It is not what the schema describes.
    """
    if wrong := faults(load_schema("run_status"), dict(value)):
        where = "/".join(map(str, wrong[0].path))
        raise ValueError(f"{where}: {wrong[0].message}" if where else wrong[0].message)
    clients = [_client(one) for one in value["clients"]]
    return cast("WrittenFacts", {**value, "status": RunStatus(value["status"]), "clients": clients})


def _client(value: Mapping[str, Any]) -> dict[str, Any]:
    below = [{**one, "state": ClientStatus(one["state"])} for one in value.get("below", ())]
    return {**value, "state": ClientStatus(value["state"]), **({"below": below} if below else {})}
