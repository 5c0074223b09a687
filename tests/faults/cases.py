# SPDX-License-Identifier: Apache-2.0
"""All cases: importing this module enters them in `case.CASES`."""

from __future__ import annotations

from tests.faults import cases_client, cases_network, cases_server
from tests.faults.case import CASES, Case

__all__ = ["CASES", "Case", "cases_client", "cases_network", "cases_server"]
