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
from mmar_runner.testing.contracts.laws import hold, same


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
        law = "A processor names its topics"
        hold(law, topics, expected="at least one", got=topics)
        words = all(topic.strip() == topic != "" for topic in topics)
        hold(law, words, expected="text without blanks around it", got=topics)
        hold(law, len(set(topics)) == len(topics), expected="none twice", got=topics)
        same(f"{law} alike whenever asked", topics, list(processor.get_topics()))
        sample = self.sample()[0]
        law = "The suite's `sample` is of one of the topics"
        hold(law, sample in topics, expected=f"one of {topics}", got=sample)

    def test_reply_is_json(self, context: ResultContext) -> None:
        """The reply is a JSON object."""
        reply = self.make().process(*self.sample(), context)
        law = "A reply is a JSON object"
        hold(law, isinstance(reply, Mapping), expected="a mapping", got=reply)
        json.dumps(dict(reply), allow_nan=False)

    def test_writes_below_the_run(self, context: ResultContext) -> None:
        """Nothing outside of the run's folder is written."""
        processor = self.make()
        processor.process(*self.sample(), context)
        processor.close()
        parent = context.run_folder.parent
        outside = [name for name in contents(parent) if not name.startswith("run_1/")]
        same("A processor writes below the run's folder only", [], outside)

    def test_a_result_that_comes_twice_counts_once(self, context: ResultContext) -> None:
        """Not within a process, and not after a restart."""
        processor = self.make()
        processor.process(*self.sample(), context)
        before = contents(context.run_folder)
        processor.process(*self.sample(), context)
        processor.close()
        law = "A result that comes twice counts once"
        same(law, before, contents(context.run_folder))
        restarted = self.make()
        restarted.process(*self.sample(), context)
        restarted.close()
        same(f"{law}, after a restart too", before, contents(context.run_folder))

    def test_the_result_is_left_alone(self, context: ResultContext) -> None:
        """The result is the server's."""
        topic, result = self.sample()
        before = json.dumps(dict(result))
        self.make().process(topic, result, context)
        same("A processor leaves the result as it is", before, json.dumps(dict(result)))

    def test_malformed_results_are_refused(self, context: ResultContext) -> None:
        """A result of another form is refused in words, and leaves no trace."""
        processor = self.make()
        processor.process(*self.sample(), context)
        before = contents(context.run_folder)
        for result in self.malformed:
            with pytest.raises(MmarRunnerError):
                processor.process(self.sample()[0], result, context)
        law = "A result that is refused leaves no trace"
        same(law, before, contents(context.run_folder))

    def test_close_without_results(self) -> None:
        """A run may end without any result."""
        self.make().close()
