# SPDX-License-Identifier: Apache-2.0
"""Who is told: handlers, hooks, observers and logs, and those who wait for space."""
