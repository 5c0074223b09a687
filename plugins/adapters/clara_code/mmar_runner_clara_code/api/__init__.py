# SPDX-License-Identifier: Apache-2.0
"""The classes that older code imports, written anew from what is documented of them.

They hold data and nothing else: no class here talks to a network, a disk or another process.
"""
