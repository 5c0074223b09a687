# SPDX-License-Identifier: Apache-2.0
"""Federated averaging. `plugin` registers it, `fedavg` is it; nothing else is here."""
