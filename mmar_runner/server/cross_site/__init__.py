# SPDX-License-Identifier: Apache-2.0
"""Cross-site validation, once the rounds are done: models taken in, handed out, answers kept."""
