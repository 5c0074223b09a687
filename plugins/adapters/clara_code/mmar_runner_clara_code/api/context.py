# SPDX-License-Identifier: Apache-2.0
"""The context that older code is given: properties by key."""

from __future__ import annotations

from typing import Any

from mmar_runner_clara_code.api.constants import FLConstants


class FLContext:
    """Properties of a run, a round and, at the server, of the client whose update it is."""

    def __init__(self, properties: dict[str, Any] | None = None) -> None:
        self._properties: dict[str, Any] = dict(properties or {})

    def get_prop(self, key: str, default: Any = None) -> Any:
        """Return a property, or a default where there is none."""
        return self._properties.get(key, default)

    def get_prop_detail(self, key: str) -> dict[str, Any] | None:
        """Return a property with what is known of it, or None."""
        if key not in self._properties:
            return None
        return {"value": self._properties[key], "private": True, "sticky": True}

    def set_prop(
        self,
        key: str,
        value: Any,
        private: Any = True,  # noqa: FBT002 - as code of that time calls it
        sticky: Any = True,  # noqa: FBT002 - as above
    ) -> bool:
        """Set a property for this process; it goes nowhere, whatever is said of it."""
        del private, sticky
        self._properties[key] = value
        return True

    def remove_prop(self, key: str) -> None:
        """Forget a property."""
        self._properties.pop(key, None)

    def get_all_public_props(self) -> dict[str, Any]:
        """Return nothing: no property leaves this process."""
        return {}

    def get_peer_context(self) -> Any:
        """Return the context of the client whose update is at hand, or None."""
        return self.get_prop(FLConstants.PEER_CONTEXT)

    def set_peer_context(self, context: Any) -> None:
        """Set the context of the client whose update is at hand."""
        self.set_prop(FLConstants.PEER_CONTEXT, context)

    def get_identity_name(self, default: str = "") -> Any:
        """Return the client's name, or ``server``."""
        return self.get_prop(FLConstants.CLIENT_NAME, default)

    def get_run_number(self) -> Any:
        """Return the run's number, or None where that is not known."""
        return self.get_prop(FLConstants.CURRENT_RUN)

    def get_engine(self) -> None:
        """Return nothing: there is no engine behind an adapter."""
        return
