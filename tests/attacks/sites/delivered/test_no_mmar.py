# SPDX-License-Identifier: Apache-2.0
"""A package that holds no MMAR is refused and declined like any other."""

from __future__ import annotations

import shutil


def test_a_delivered_folder_without_config_is_declined_with_its_reason(hospital, delivered):
    mmar = hospital.mmar(sign=False)
    digest = hospital.digest(mmar)
    shutil.rmtree(mmar / "config")
    delivered.lies.deploy(mmar, digest)
    reason = delivered.refused("MMAR_INVALID")["reason"]
    assert [one.reason for one in delivered.lies.declined] == [reason]
