# SPDX-License-Identifier: Apache-2.0
"""Whoever stands between the network and a run: certificates, names, pace, revocations."""
