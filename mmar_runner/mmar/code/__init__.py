# SPDX-License-Identifier: Apache-2.0
"""Python code of an MMAR and of installed packages: looked at as text, never imported."""
