# SPDX-License-Identifier: Apache-2.0
"""Models that come and updates that go: files, their transfers, and what is newest."""
