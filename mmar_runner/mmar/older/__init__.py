# SPDX-License-Identifier: Apache-2.0
"""What older systems called things, and what became of each: tables, nothing else."""
