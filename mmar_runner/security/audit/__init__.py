# SPDX-License-Identifier: Apache-2.0
"""The audit log: who asked for what, and what was decided."""
