# SPDX-License-Identifier: Apache-2.0
"""A process gives back what it no longer uses, also what lies below something still used."""

from __future__ import annotations

import subprocess
import sys

import pytest

_CROWD = """
import ctypes
from mmar_runner.storage.memory import give_back_freed, rss_bytes, settle_memory

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
settle_memory()
crowd = [libc.malloc(40_000) for _ in range(2_000)]
for place in crowd:
    libc.memset(place, 1, 40_000)
last = libc.malloc(40_000)
full = rss_bytes()
for place in crowd:
    libc.free(place)
kept = rss_bytes()
give_back_freed()
print(full - kept, full - rss_bytes())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the C library is another one")
def test_what_a_crowd_left_is_given_back() -> None:
    command = [sys.executable, "-c", _CROWD]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    by_itself, when_asked = map(int, said.stdout.split())
    assert by_itself < 10 << 20
    assert when_asked > 60 << 20
