# SPDX-License-Identifier: Apache-2.0
"""What was found, for people, programs, code scanners and CI services."""
