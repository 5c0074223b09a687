# SPDX-License-Identifier: Apache-2.0
"""What people see: a run as lines, as a live table or as JSON; decisions; tables."""
