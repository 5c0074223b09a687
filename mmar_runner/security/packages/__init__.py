# SPDX-License-Identifier: Apache-2.0
"""MMARs on their way and at rest: packed, unpacked by strict rules, kept by digest."""
