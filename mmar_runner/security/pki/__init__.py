# SPDX-License-Identifier: Apache-2.0
"""Keys, certificates, envelopes of signatures, revocations: what proves who somebody is."""
