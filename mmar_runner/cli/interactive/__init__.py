# SPDX-License-Identifier: Apache-2.0
"""The administrators' console: lines that are typed, or come from a pipe, one after the other."""
