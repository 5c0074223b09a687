# SPDX-License-Identifier: Apache-2.0
"""From a folder to a validated specification, and every finding on the way.

This room reads an MMAR safely, upgrades old generations in memory, replaces
variables, checks everything that can be known, and answers with values. It asks a
`ComponentCatalog` what is installed; it imports no component, no BYOC module, no
numpy, and it writes nothing.
"""
