# SPDX-License-Identifier: Apache-2.0
"""Privacy filters, and an aggregator with differential privacy. `plugin` registers them."""
