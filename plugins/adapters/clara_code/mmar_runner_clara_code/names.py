# SPDX-License-Identifier: Apache-2.0
"""What older code can import here: every name, by the module it asks for. Data, and nothing else.

`plugin` hands the names to the check of an MMAR, `importing` serves them in a child, and
`reference` writes the page of them: none of these knows a name that is not here.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The packages of older programs whose modules are answered for; of another module of theirs
#: an import fails.
ROOTS: Final = ("medl", "nvflare")

_CONSTANTS: Final = "constants"
_COMPONENTS: Final = "components"
_SHAREABLE: Final = {
    "Shareable": "shareable",
    "make_reply": "shareable",
    "ReservedHeaderKey": _CONSTANTS,
    "ReturnCode": _CONSTANTS,
    "ShareableKey": _CONSTANTS,
    "ShareableValue": _CONSTANTS,
}
_AGGREGATOR: Final = {"Aggregator": _COMPONENTS}
_FILTER: Final = {"Filter": _COMPONENTS}
_TRAINER: Final = {"Trainer": _COMPONENTS}
_SIGNAL: Final = {"Signal": "signal"}

#: Modules of ``mmar_runner_clara_code.api`` by name and by the module that code asks for.
TABLE: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "nvflare.apis": {
            **_AGGREGATOR,
            **_FILTER,
            **_TRAINER,
            **_SIGNAL,
            "FLComponent": _COMPONENTS,
            "FLContext": "context",
            "Shareable": "shareable",
        },
        "nvflare.apis.aggregator": _AGGREGATOR,
        "nvflare.apis.dxo": {
            "DXO": "dxo",
            "DataKind": "dxo",
            "MetaKey": "dxo",
            "from_shareable": "dxo",
        },
        "nvflare.apis.event_type": {"EventType": _CONSTANTS},
        "nvflare.apis.filter": {**_FILTER, "FLContext": "context", "Shareable": "shareable"},
        "nvflare.apis.fl_component": {"FLComponent": _COMPONENTS},
        "nvflare.apis.fl_constant": {
            "EventType": _CONSTANTS,
            "FLConstants": _CONSTANTS,
            "FLContextKey": _CONSTANTS,
            "ReservedKey": _CONSTANTS,
            "ReturnCode": _CONSTANTS,
            "ShareableKey": _CONSTANTS,
            "ShareableValue": _CONSTANTS,
        },
        "nvflare.apis.fl_context": {"FLContext": "context"},
        "nvflare.apis.shareable": _SHAREABLE,
        "nvflare.apis.signal": _SIGNAL,
        "nvflare.apis.trainer": _TRAINER,
        "nvflare.app_common.abstract.aggregator": _AGGREGATOR,
        "nvflare.app_common.abstract.trainer": _TRAINER,
        "nvflare.app_common.app_constant": {"AppConstants": _CONSTANTS},
        "nvflare.app_common.app_event_type": {"AppEventType": _CONSTANTS},
        "nvflare.app_common.executors.trainer": _TRAINER,
        "nvflare.common.signal": _SIGNAL,
        "nvflare.utils.fed_utils": {"generate_failure": "shareable"},
    }
)

#: The names of each module, sorted.
PROVIDED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {module: tuple(sorted(names)) for module, names in TABLE.items()}
)
