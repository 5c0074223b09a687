# SPDX-License-Identifier: Apache-2.0
"""The results of cross-site validation, in a table that other programs read."""
