# SPDX-License-Identifier: Apache-2.0
"""The processes that train one network together, each on its share of every batch."""

from __future__ import annotations

import json
import math
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import distributed, nn

from mmar_runner_torch.launch import MEETING

if TYPE_CHECKING:
    from mmar_runner.interfaces.client_trainer import TrainerContext

#: How long processes wait for each other. Whoever asked for the task ends it long before, by its
#: own limit; torch's would end one whose first process measures for longer than half an hour.
_PATIENCE: Final = timedelta(days=30)
#: Where Gloo and NCCL read on which interface they may talk.
_INTERFACES: Final = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")


@dataclass(frozen=True, slots=True)
class Team:
    """The processes of one trainer, seen from one of them; a single one is a team too.

    Attributes:
        rank: Which this is, from 0.
        size: How many there are.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def joined(cls, context: TrainerContext, device: torch.device) -> Team:
        """Wait for the other processes, if there are any, and return the team.

        Args:
            context: Which process this is, and of how many.
            device: Where this process computes.
        """
        team = cls(context.rank, context.processes)
        if team.size > 1:
            os.environ.update(dict.fromkeys(_INTERFACES, _loopback()))  # all are on this machine
            own = device.type == "cuda" and torch.cuda.device_count() >= team.size
            distributed.init_process_group(
                "nccl" if own else "gloo",
                init_method=f"file://{os.environ[MEETING]}",
                rank=team.rank,
                world_size=team.size,
                timeout=_PATIENCE,
            )
        return team

    @property
    def leads(self) -> bool:
        """Whether this is the process that measures, and writes files."""
        return self.rank == 0

    def wrapped(self, network: nn.Module) -> nn.Module:
        """Return a network whose gradients are the mean over all processes.

        It is made anew for every round: what it learns of the order in which gradients come would
        else let a process that was replaced in between add them up in another order.
        """
        if self.size == 1 or not any(one.requires_grad for one in network.parameters()):
            return network
        # A network may leave parameters out, as it may in one process.
        return nn.parallel.DistributedDataParallel(network, find_unused_parameters=True)

    def means(
        self, weight: float, values: Mapping[str, float], device: torch.device
    ) -> tuple[float, dict[str, float]]:
        """Return the weights' sum, and the values' weighted means, over all processes.

        Args:
            weight: Of this process's values.
            values: By name; a name that another process lacks counts there where it is.
            device: Where this process computes.
        """
        if self.size == 1:
            return weight, dict(values)
        said = self._gathered({"weight": weight, "values": dict(values)}, device)
        found: dict[str, float] = {}
        for name in sorted({name for one in said for name in one["values"]}):
            shares = [(one["weight"], one["values"][name]) for one in said if name in one["values"]]
            total = math.fsum(share for share, _ in shares)
            if total > 0:
                found[name] = math.fsum(share * value for share, value in shares if share) / total
        # Shares of a whole number of samples, which may be thirds, are a whole number again.
        return round(math.fsum(one["weight"] for one in said), 6), found

    def _gathered(self, value: Mapping[str, Any], device: torch.device) -> list[dict[str, Any]]:
        """Return what every process says, as JSON: torch's own way for objects is pickle."""
        where = device if distributed.get_backend() == "nccl" else torch.device("cpu")
        data = torch.tensor(list(json.dumps(value).encode()), dtype=torch.uint8, device=where)
        own = torch.tensor([len(data)], device=where)
        lengths = [torch.zeros_like(own) for _ in range(self.size)]
        distributed.all_gather(lengths, own)
        longest = max(int(length) for length in lengths)
        padded = nn.functional.pad(data, (0, longest - len(data)))
        texts = [torch.zeros_like(padded) for _ in range(self.size)]
        distributed.all_gather(texts, padded)
        cut = zip(texts, lengths, strict=True)
        return [json.loads(bytes(text[: int(length)].tolist())) for text, length in cut]

    def leave(self) -> None:
        """Let go of the other processes."""
        if self.size > 1 and distributed.is_initialized():
            distributed.destroy_process_group()


def _loopback() -> str:
    """Return what this system calls the interface on which a machine talks to itself."""
    return next((name for _, name in socket.if_nameindex() if name.startswith("lo")), "lo")


def device_of(context: TrainerContext, device: torch.device) -> torch.device:
    """Return where one of several processes computes: each has an accelerator of its own.

    With more processes than accelerators they share them in turn.

    Args:
        context: Which process this is, and of how many.
        device: Where a single process would compute.
    """
    if context.processes == 1 or device.type != "cuda":
        return device
    number = context.rank % torch.cuda.device_count()
    torch.cuda.set_device(number)
    return torch.device("cuda", number)
