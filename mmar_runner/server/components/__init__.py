# SPDX-License-Identifier: Apache-2.0
"""Components at the server: built here, or run in children and threads."""
