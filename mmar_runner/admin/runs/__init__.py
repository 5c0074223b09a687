# SPDX-License-Identifier: Apache-2.0
"""Runs one after the other: chosen, deployed, started, stopped, queued; and what is remembered."""
