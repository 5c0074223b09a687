# SPDX-License-Identifier: Apache-2.0
"""What is found out before something runs: the kit, the address, the MMAR, who runs already."""
