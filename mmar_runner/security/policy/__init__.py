# SPDX-License-Identifier: Apache-2.0
"""Who may do what where: the project's authorization, a site's policy, one judgement."""
