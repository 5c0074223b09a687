# SPDX-License-Identifier: Apache-2.0
"""MONAI bundles, read as data: what they hold, what they would evaluate, an MMAR made of one.

A bundle's configuration is a language: texts that begin with ``$`` are Python, ``_target_``
names whatever is to be called. Nothing here evaluates, imports or calls any of it.
"""
