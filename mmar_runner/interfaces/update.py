# SPDX-License-Identifier: Apache-2.0
"""What is said of one update, from the trainer that made it to the sum that it is part of.

A site keeps it beside the update's file, announces it to the server, and the server puts it
on record. Each of them adds what only it knows; these facts are the same in all places.

A combiner sends one update for many sites: a partial sum, ``sum(weight * value)`` in float64.
It says of each site what that said of its own update, as a `Part`: so its parent divides by the
weights of the sites, and records name them.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.interfaces.aggregator import Contribution, UpdateKind

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST: Final = sys.float_info.max
_MOST_WHOLE: Final = (1 << 63) - 1
#: Between the names of a path through combiners: ``combiner/site``.
SEPARATOR: Final = "/"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateFacts:
    """What its client says of an update.

    Attributes:
        round: For which round it was made.
        bytes: The size of its file.
        num_samples: How many samples it was trained on.
        kind: Whether its tensors are weights or differences.
        metrics: Of the local training, by name.
        validation: Of the round's model on the client's data, by name.
        seconds_train: How long the client worked.
        codec: In which codec its tensors travel.
        codec_error: What that lost: the norm of the difference over the norm of the update.
        parts: Of a combiner's partial sum the sites that count in it; none of a site's own.
    """

    round: int
    bytes: int
    num_samples: float
    kind: UpdateKind
    metrics: Mapping[str, float]
    validation: Mapping[str, float]
    seconds_train: float
    codec: str = "none"
    codec_error: float = 0.0
    parts: tuple[Part, ...] = ()

    @property
    def reported(self) -> dict[str, float]:
        """All metrics by name; of two with the same name, that of the validation."""
        return {**self.metrics, **self.validation}

    def to_json(self) -> dict[str, Any]:
        """Return it as it is kept: by the client until it is answered, and in the journal."""
        coded = {"codec": self.codec, "codec_error": self.codec_error}
        return {
            "round": self.round,
            "bytes": self.bytes,
            "num_samples": self.num_samples,
            "kind": self.kind.value,
            "metrics": dict(self.metrics),
            "validation": dict(self.validation),
            "seconds_train": self.seconds_train,
            **({} if self.codec == "none" else coded),
            **({"parts": [part.to_json() for part in self.parts]} if self.parts else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> UpdateFacts:
        """Read what `to_json` gave, in whatever else it is stored.

        Raises:
            LookupError: Something is not there.
            TypeError: Something has another type.
            ValueError: The kind is unknown.
        """
        return cls(
            round=whole(data["round"]),
            bytes=whole(data["bytes"]),
            num_samples=finite(data["num_samples"]),
            kind=UpdateKind(data["kind"]),
            metrics=_metrics(data["metrics"]),
            validation=_metrics(data["validation"]),
            seconds_train=finite(data["seconds_train"]),
            codec=text(data.get("codec", "none")),
            codec_error=finite(data.get("codec_error", 0.0)),
            parts=_parts(data.get("parts", [])),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One site's share in a combiner's partial sum.

    Attributes:
        path: Its name below the combiner; behind further combiners ``combiner/site``.
        weight: By which its update was multiplied.
        facts: What it said of its update; of the round and of the kind that the sum is.
        seconds_upload: How long its update took to come to its combiner.
        wire_bytes: How many bytes its update had on that way.
    """

    path: str
    weight: float
    facts: UpdateFacts
    seconds_upload: float
    wire_bytes: int

    @property
    def site(self) -> str:
        """The site's own name."""
        return self.path.rpartition(SEPARATOR)[2]

    @property
    def contribution(self) -> Contribution:
        """What an aggregator sees of it."""
        facts = self.facts
        return Contribution(self.site, facts.num_samples, facts.kind, facts.reported)

    def below(self, name: str) -> Part:
        """Return it as a part of what a combiner of that name has sent."""
        return replace(self, path=f"{name}{SEPARATOR}{self.path}")

    def to_json(self) -> dict[str, Any]:
        """Return it as it is kept: by the combiner until it is answered, and in the journal."""
        return {
            "path": self.path,
            "weight": self.weight,
            "seconds_upload": self.seconds_upload,
            "wire_bytes": self.wire_bytes,
            **self.facts.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Part:
        """Read what `to_json` gave.

        Raises:
            LookupError: Something is not there.
            TypeError: Something has another type.
            ValueError: The kind is unknown.
        """
        return cls(
            path=text(data["path"]),
            weight=finite(data["weight"]),
            facts=UpdateFacts.from_json(data),
            seconds_upload=finite(data["seconds_upload"]),
            wire_bytes=whole(data["wire_bytes"]),
        )


def sender(path: str) -> str:
    """Return who has sent the update in which a site counts: itself, or a combiner.

    Args:
        path: The site as a summary names it.
    """
    return path.partition(SEPARATOR)[0]


def finite(value: object) -> float:
    """Return a number that was kept.

    Raises:
        TypeError: It is none, or not finite.
    """
    if type(value) not in {int, float} or not -_MOST <= value <= _MOST:  # type: ignore[operator]
        msg = f"{value!r:.40} is no finite number"
        raise TypeError(msg)
    return float(value)  # type: ignore[arg-type]


def text(value: object) -> str:
    """Return a text that was kept.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(value, str):
        msg = f"{value!r:.40} is no text"
        raise TypeError(msg)
    return value


def whole(value: object) -> int:
    """Return a number that was counted.

    Raises:
        TypeError: It is none, or less than 0.
    """
    if type(value) is not int or not 0 <= value <= _MOST_WHOLE:
        msg = f"{value!r:.40} counts nothing"
        raise TypeError(msg)
    return value


def _metrics(value: object) -> dict[str, float]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        msg = f"{value!r:.40} are no metrics"
        raise TypeError(msg)
    return {name: finite(number) for name, number in value.items()}


def _parts(value: object) -> tuple[Part, ...]:
    if not isinstance(value, list):
        msg = f"{value!r:.40} are no parts of an update"
        raise TypeError(msg)
    return tuple(map(Part.from_json, value))
