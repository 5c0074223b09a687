# SPDX-License-Identifier: Apache-2.0
"""Every check of an MMAR: one question a module, asked of what was read and resolved."""
