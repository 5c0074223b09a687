# SPDX-License-Identifier: Apache-2.0
"""SCAFFOLD's server. `plugin` registers it, `scaffold` is it; nothing else is here."""
