# SPDX-License-Identifier: Apache-2.0
"""Child processes: where trainers, persistors, validators and filters live.

This room starts a process, talks to it over a private socket and ends it. A crash,
an ``exit()``, a hang or a leak in a component costs a task, never the server or the
session. It knows nothing of rounds, clients' networks or the wire.

The parent's half is `mmar_runner.children.process`; the child's is
`mmar_runner.children.child_main` with one role a file. Both halves share only
`spec` and `messages`. This module imports nothing, so that a child stays small.
"""
