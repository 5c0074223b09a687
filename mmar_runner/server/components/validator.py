# SPDX-License-Identifier: Apache-2.0
"""Global models validated on the server's own data: in a child, since it needs a framework."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mmar_runner.children.process import ChildProcess
from mmar_runner.errors import RunFailedError, TaskError
from mmar_runner.server.components.component_child import START_SECONDS, child_spec

if TYPE_CHECKING:
    from pathlib import Path

    from mmar_runner.mmar.spec import ComponentSpec
    from mmar_runner.server.records.workspace import RunFolder
    from mmar_runner.server.settings import ServerSettings

#: How long a validator that has nothing to do may take to end, in seconds.
_CLOSE_SECONDS: Final = 2.0


class ServerValidator:
    """Validates global models on the server's own data, in a child that is kept."""

    def __init__(self, settings: ServerSettings, folder: RunFolder, spec: ComponentSpec) -> None:
        self._spec = child_spec(settings, folder, "model_validator", spec)
        self._log = folder.logs / "model_validator.log"
        self._label = spec.label
        self._timeout = settings.task_timeout
        self._child: ChildProcess | None = None

    async def validate(self, model: Path) -> dict[str, float]:
        """Return the metrics of a model file.

        Raises:
            RunFailedError: It could not be built, raised, ended, or outran its time: then its
                process is gone.
        """
        try:
            return await self._metrics(model)
        except TaskError as error:
            who = "" if self._label in error.message else f"{self._label}: "
            msg = f"{who}{error.message}"
            raise RunFailedError(msg, hint=error.hint, reason=error.reason) from error

    async def _metrics(self, model: Path) -> dict[str, float]:
        if self._child is None or not self._child.alive:
            self._child = await ChildProcess.start(
                self._spec, log=self._log, timeout=max(self._timeout, START_SECONDS)
            )
        params = {"model": str(model)}
        answer = await self._child.request("validate", params, timeout=self._timeout)
        return dict(answer["metrics"])

    async def close(self) -> None:
        """End the child."""
        if self._child is not None:
            await self._child.close(grace=_CLOSE_SECONDS)
