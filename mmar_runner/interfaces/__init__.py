# SPDX-License-Identifier: Apache-2.0
"""What a plugin must be: one small abstract class a file. Imports nothing heavy."""
