# SPDX-License-Identifier: Apache-2.0
"""Robust aggregation. `plugin` registers the rules; each module is one family of them.

`rule` is what all share; `sorting` and `strides` are what they are made of: elements of all
updates in order, and sums over a whole model.
"""
