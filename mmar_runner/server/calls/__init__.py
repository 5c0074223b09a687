# SPDX-License-Identifier: Apache-2.0
"""What answers clients: models sent, updates received, packages and results.

Nothing here decides about a round: what arrives whole is handed to `rounds`.
"""
