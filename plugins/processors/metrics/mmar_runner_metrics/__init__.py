# SPDX-License-Identifier: Apache-2.0
"""Metrics of a run: written down as they arrive, and used to choose the best model.

`processor` writes what clients report to CSV and TensorBoard files; `selector` scores
a round. Averaging over clients and keeping the best model are the server's.
"""
