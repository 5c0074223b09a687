# SPDX-License-Identifier: Apache-2.0
"""Waiting in an event loop: for threads, for the first of several, unless something happens.

Both halves of a federation, and what starts processes, wait by the same few functions. The
room knows neither files, nor rounds, nor the network.
"""
