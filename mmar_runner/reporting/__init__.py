# SPDX-License-Identifier: Apache-2.0
"""A page about a run, made from nothing but the files of its folder."""
