# SPDX-License-Identifier: Apache-2.0
"""All cases: importing this module enters them in `case.CASES`."""

from __future__ import annotations

from tests.faults import (
    cases_client,
    cases_disk,
    cases_network,
    cases_server,
    cases_sweeps,
    cases_tree,
    cases_waiting,
)
from tests.faults.case import CASES, Case

__all__ = ["CASES", "Case"]

#: What entered them; named, so that nobody takes the imports for idle ones.
ROOMS = (
    *(cases_client, cases_disk, cases_network, cases_server),
    *(cases_sweeps, cases_tree, cases_waiting),
)
