# SPDX-License-Identifier: Apache-2.0
"""One process that admits an MMAR as a site does: copy, verify, validate, judge.

python benchmarks/admission.py MMAR KIT STORE
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from mmar_runner.admission.admitting import admit
from mmar_runner.admission.rules import rules_of
from mmar_runner.cli.starting.kits import open_kit
from mmar_runner.hooks import load_plugins
from mmar_runner.security.identity import Role
from mmar_runner.security.packages.mmar_store import MmarStore


def main(mmar: Path, kit: Path, store: Path) -> int:
    """Admit the MMAR; return 0 if it may run.

    Args:
        mmar: The MMAR's folder.
        kit: The start-up kit of a client.
        store: Where the copy goes.
    """
    admission = admit(
        mmar,
        load_plugins().registry,
        rules_of(open_kit(kit, Role.CLIENT)),
        MmarStore(store),
        origin="delivered",
        now=datetime.now(UTC),
    )
    return 0 if admission.decision.accepted and admission.validation.report.valid else 1


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:4])))
