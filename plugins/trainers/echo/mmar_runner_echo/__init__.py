# SPDX-License-Identifier: Apache-2.0
"""A trainer without data, to try, test and measure everything around a trainer.

It needs numpy alone and moves tensors block by block, so that a model of any size
takes a few MiB of memory. It learns nothing.
"""
