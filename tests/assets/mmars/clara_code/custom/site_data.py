# SPDX-License-Identifier: Apache-2.0
"""What each site has."""

import zlib

import numpy as np


def values_of(client):
    """Return a site's numbers: another few for each."""
    seed = zlib.crc32(client.encode())
    count = 2 + int(client.rpartition("-")[2])
    return np.random.RandomState(seed).normal(size=count).astype(np.float32)
