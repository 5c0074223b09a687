# SPDX-License-Identifier: Apache-2.0
"""What administrators order: typed lines, checked calls, and the signature under each.

An order is signed with its author's release key where it was typed. The server checks it and
hands it on as it is, so that a site knows who asks without believing the server.
"""
