# SPDX-License-Identifier: Apache-2.0
"""What every result processor must do."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from mmar_runner.errors import MmarRunnerError
from mmar_runner.interfaces.result_processor import ResultContext, ResultProcessor
from mmar_runner.testing.contracts.files import contents


class ResultProcessorContract(ABC):
    """A processor answers its topics, and a result that comes twice counts once.

    Attributes:
        malformed: Results that must be refused by an error of this program.
    """

    malformed: ClassVar[Sequence[Mapping[str, Any]]] = ()

    @abstractmethod
    def make(self) -> ResultProcessor:
        """Return a new processor."""

    @abstractmethod
    def sample(self) -> tuple[str, Mapping[str, Any]]:
        """Return a topic and a result that the processor takes."""

    @pytest.fixture
    def context(self, tmp_path: Path) -> ResultContext:
        """Where results come from and where files go."""
        folder = tmp_path / "run_1"
        folder.mkdir()
        return ResultContext(client="site-1", run_number=1, run_folder=folder)

    def test_topics(self) -> None:
        """At least one, none twice, and the same whenever asked."""
        processor = self.make()
        topics = list(processor.get_topics())
        assert topics
        assert all(topic.strip() == topic != "" for topic in topics)
        assert len(set(topics)) == len(topics)
        assert list(processor.get_topics()) == topics
        assert self.sample()[0] in topics

    def test_reply_is_json(self, context: ResultContext) -> None:
        """The reply is a JSON object."""
        reply = self.make().process(*self.sample(), context)
        assert isinstance(reply, Mapping)
        json.dumps(dict(reply), allow_nan=False)

    def test_writes_below_the_run(self, context: ResultContext) -> None:
        """Nothing outside of the run's folder is written."""
        processor = self.make()
        processor.process(*self.sample(), context)
        processor.close()
        parent = context.run_folder.parent
        assert all(name.startswith("run_1/") for name in contents(parent))

    def test_a_result_that_comes_twice_counts_once(self, context: ResultContext) -> None:
        """Not within a process, and not after a restart."""
        processor = self.make()
        processor.process(*self.sample(), context)
        before = contents(context.run_folder)
        processor.process(*self.sample(), context)
        processor.close()
        assert contents(context.run_folder) == before
        restarted = self.make()
        restarted.process(*self.sample(), context)
        restarted.close()
        assert contents(context.run_folder) == before

    def test_the_result_is_left_alone(self, context: ResultContext) -> None:
        """The result is the server's."""
        topic, result = self.sample()
        before = json.dumps(dict(result))
        self.make().process(topic, result, context)
        assert json.dumps(dict(result)) == before

    def test_malformed_results_are_refused(self, context: ResultContext) -> None:
        """A result of another form is refused in words, and leaves no trace."""
        processor = self.make()
        processor.process(*self.sample(), context)
        before = contents(context.run_folder)
        for result in self.malformed:
            with pytest.raises(MmarRunnerError):
                processor.process(self.sample()[0], result, context)
        assert contents(context.run_folder) == before

    def test_close_without_results(self) -> None:
        """A run may end without any result."""
        self.make().close()
