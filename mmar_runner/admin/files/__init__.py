# SPDX-License-Identifier: Apache-2.0
"""What administrators hand over and fetch: packages that come, files that go."""
