# SPDX-License-Identifier: Apache-2.0
"""A server that stands: it runs one MMAR after the other, as administrators order.

`office` is the whole of it. Clients come in at one port, administrators at another; rights
are asked for every order at every target, and everything is audited.
"""
