# SPDX-License-Identifier: Apache-2.0
"""What a run is at and waits for, said to people and programs that do not watch it."""
