# SPDX-License-Identifier: Apache-2.0
"""Who is in the federation: names, session keys, leases, and whether they may stay."""
