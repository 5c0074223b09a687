# SPDX-License-Identifier: Apache-2.0
"""The command modules that every server has: training, validation, shell, system, inspection."""
