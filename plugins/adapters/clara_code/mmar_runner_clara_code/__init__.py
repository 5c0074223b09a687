# SPDX-License-Identifier: Apache-2.0
"""Runs code that was written for Clara Train 4: what it imports, and what calls it.

`plugin` registers the adapters, `names` says what such code can import, `importing` lets it,
`api` is it; `aggregator`, `filter` and `trainer` are the adapters.
"""
