# SPDX-License-Identifier: Apache-2.0
"""Real data that scikit-learn carries in its package, cut into the shards of sites.

Every site computes the same cut from the same arguments and keeps its own shard, so a
federation can be tried on one machine or on many without a download. The data sets
are map-style (``len`` and ``[i]``), hold numpy arrays and know no framework.
"""
