# SPDX-License-Identifier: Apache-2.0
"""A site's own work: the trainer child, the MMAR's filters and the site's own, in processes."""
