# SPDX-License-Identifier: Apache-2.0
"""A client that stands: it waits for what administrators order, and does what its site allows.

It opens no port: it holds a call to the server, through which orders come. Each is believed
for the signature of whoever ordered it, never for the server's word.
"""
