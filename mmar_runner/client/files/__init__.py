# SPDX-License-Identifier: Apache-2.0
"""What a client keeps on its disk from one process to the next."""
