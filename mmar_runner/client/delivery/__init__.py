# SPDX-License-Identifier: Apache-2.0
"""The MMAR that a server deploys: fetched, unpacked, and let in or declined."""
