# SPDX-License-Identifier: Apache-2.0
"""What a run leaves on the disk: its journal's values, models, folders, its summary."""
