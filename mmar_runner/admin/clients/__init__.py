# SPDX-License-Identifier: Apache-2.0
"""What clients see of a server that stands: the run that is open, packages, requests to them."""
