# SPDX-License-Identifier: Apache-2.0
"""The federated server: what it does with calls, files, children and decisions.

It decides nothing about rounds (``federation/`` does) and computes nothing about
models (an aggregator plugin does); it never imports a framework and never holds a
model in memory.
"""
