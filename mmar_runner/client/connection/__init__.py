# SPDX-License-Identifier: Apache-2.0
"""The line to the server: registered, tried again, kept alive, measured."""
