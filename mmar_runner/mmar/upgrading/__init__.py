# SPDX-License-Identifier: Apache-2.0
"""Writing an older archive anew in the words of today; the archive itself stays as it is."""
