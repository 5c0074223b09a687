# SPDX-License-Identifier: Apache-2.0
"""Declarations of components: resolved, without importing anything, into specifications."""
