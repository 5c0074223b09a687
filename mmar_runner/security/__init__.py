# SPDX-License-Identifier: Apache-2.0
"""The room of identities, tokens, policies, signatures and the audit log.

It is the only room that may import ``cryptography``. Decisions are pure: values in, a
`Decision` with its trace out. Nothing in here opens a listening socket, knows gRPC, or
decides about rounds.
"""
