# SPDX-License-Identifier: Apache-2.0
"""A client that has whatever is written to MONAI's ``ClientAlgo`` interface do the training."""
