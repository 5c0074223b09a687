# SPDX-License-Identifier: Apache-2.0
"""What a server counts of its runs, for a monitoring system that asks (Prometheus)."""
