# SPDX-License-Identifier: Apache-2.0
"""Bytes on disk: safetensors files, the spool of updates, the journal, atomic writes.

This room reads and writes files and says precisely what is wrong with them. It knows
no network, no asyncio and no federation: it is called from worker threads, with bytes
and paths, and every ``OSError`` and ``sqlite3.Error`` leaves it as a `StorageError`.
"""
