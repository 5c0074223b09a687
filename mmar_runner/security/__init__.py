# SPDX-License-Identifier: Apache-2.0
"""The room of identities, tokens, policies, signatures and the audit log.

It is the only room that may import ``cryptography``. It holds no code yet: this version
speaks plain text on loopback only, and the command line refuses every other address.
Nothing in here opens a socket or decides about rounds.
"""
