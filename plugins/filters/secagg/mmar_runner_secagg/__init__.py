# SPDX-License-Identifier: Apache-2.0
"""Secure aggregation: the server sees the sum of the updates, and none of them.

The protocol is that of Bonawitz et al. 2017 (Practical Secure Aggregation for Privacy-Preserving
Machine Learning, CCS '17) on the sparse graph of Bell et al. 2020 (Secure Single-Server
Aggregation with (Poly)Logarithmic Overhead, CCS '20, ePrint 2020/704).

Read on in this order: `parameters` and `graph` (who is bound to whom), `secrets_shared` (Shamir),
`keys`, `masks`, `fixed_point`, then `client_round` and `server_round`, which are the protocol;
`masking` is the filter and `secure_sum` the aggregator.
"""
