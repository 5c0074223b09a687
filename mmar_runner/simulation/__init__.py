# SPDX-License-Identifier: Apache-2.0
"""A whole federation on one machine, through the same code as production.

One server process, client sessions as tasks of this process over a Unix socket, and a
pool of trainer children. Nothing of server or client is replaced: only where trainers
live, and who is told what.
"""
