# SPDX-License-Identifier: Apache-2.0
"""Takes note of components that fail, for tests of what calls them."""

from __future__ import annotations

from mmar_runner.server.records.failed_components import ComponentFailure


class Noted:
    """Remembers failures.

    Attributes:
        sentences: What was said of each.
        raised: What each had raised.
    """

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self.raised: list[BaseException | str | None] = []

    def __call__(self, failure: ComponentFailure, raised: BaseException | str | None) -> None:
        self.sentences.append(failure.sentence)
        self.raised.append(raised)
