# SPDX-License-Identifier: Apache-2.0
"""Start-up kits: checked as a whole, or not used."""
