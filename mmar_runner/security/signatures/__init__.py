# SPDX-License-Identifier: Apache-2.0
"""Signed MMARs: what is signed, by whom, and whether that is enough."""
