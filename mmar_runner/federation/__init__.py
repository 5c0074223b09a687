# SPDX-License-Identifier: Apache-2.0
"""Pure values and decisions: who works in a round, when it closes, when a run ends.

State machines take events and return actions. There is no clock, socket, file or
randomness of their own here, so the same machines run in a simulated world.
"""
