# SPDX-License-Identifier: Apache-2.0
"""A combiner: a server towards its clients, and a client towards its parent.

Both halves are those of every federation: `mmar_runner.server` below, a session of
`mmar_runner.client` above. They meet in `uplink`: a model comes down, what the clients below make
of it goes up as one sum, and the next model comes down.
"""
