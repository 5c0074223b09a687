# SPDX-License-Identifier: Apache-2.0
"""What keeps a MONAI bundle within what its site allows, in the process that reads it."""
