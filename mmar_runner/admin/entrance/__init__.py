# SPDX-License-Identifier: Apache-2.0
"""Who may order what: certificates of administrators, sessions, rights at every place."""
