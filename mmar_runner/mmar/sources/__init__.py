# SPDX-License-Identifier: Apache-2.0
"""Configuration files: read, upgraded, their variables replaced, with every place remembered."""
