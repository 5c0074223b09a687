# SPDX-License-Identifier: Apache-2.0
"""The room of texts that others wrote: JSON and YAML with positions, and their schemas.

Reading never stops at the first fault and never loses where a value stood, so that
whoever judges a value can name its line. Nothing in here knows what a document is for.
"""
