# SPDX-License-Identifier: Apache-2.0
"""What passes between a client and the server, as older code sees it: a dictionary."""

from __future__ import annotations

from typing import Any, Final

from mmar_runner_clara_code.api.constants import ReservedHeaderKey, ReturnCode

_HEADERS: Final = "__headers__"
_PEER: Final = "__peer_props__"


class Shareable(dict[Any, Any]):
    """Tensors by name under `ShareableKey.MODEL_WEIGHTS`, with what is said of them."""

    def get_header(self, key: str, default: Any = None) -> Any:
        """Return a header, or a default where there is none."""
        return self.get(_HEADERS, {}).get(key, default)

    def set_header(self, key: str, value: Any) -> None:
        """Set a header."""
        self.setdefault(_HEADERS, {})[key] = value

    def get_return_code(self) -> Any:
        """Return how the work ended; OK unless somebody said otherwise."""
        return self.get_header(ReservedHeaderKey.RC, ReturnCode.OK)

    def set_return_code(self, code: str) -> None:
        """Say how the work ended."""
        self.set_header(ReservedHeaderKey.RC, code)

    def get_peer_prop(self, key: str, default: Any = None) -> Any:
        """Return what the sender says of itself, or a default."""
        return self.get(_PEER, {}).get(key, default)

    def get_peer_props(self) -> Any:
        """Return all that the sender says of itself, or None."""
        return self.get(_PEER)

    def set_peer_props(self, props: dict[str, Any]) -> None:
        """Set what the sender says of itself."""
        self[_PEER] = dict(props)


def make_reply(code: str, headers: dict[str, Any] | None = None) -> Shareable:
    """Return a shareable that holds nothing but how the work ended."""
    reply = Shareable()
    for key, value in (headers or {}).items():
        reply.set_header(key, value)
    reply.set_return_code(code)
    return reply


def generate_failure(fl_ctx: Any, reason: str = "") -> Shareable:
    """Return what a trainer answers that could not train.

    Args:
        fl_ctx: The context it was given.
        reason: Why, in words.
    """
    del fl_ctx
    return make_reply(ReturnCode.EXECUTION_EXCEPTION, {"reason": reason})
