# SPDX-License-Identifier: Apache-2.0
"""The workflows of Clara archives, on MONAI and PyTorch Ignite.

This module and `plugin` import neither, so that listing plugins and validating stay quick:
``import monai`` takes seconds.
"""
