# SPDX-License-Identifier: Apache-2.0
"""An administrator's side: a session with a server, and orders that are signed here."""
