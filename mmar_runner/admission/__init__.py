# SPDX-License-Identifier: Apache-2.0
"""The room through which every MMAR comes that runs under a start-up kit.

It copies an MMAR, looks at the copy, asks every rule, remembers versions, and writes one
line of audit: at the server and at a site, for a folder that was put there and for a
package that was delivered. Nothing of the MMAR is imported here, and nothing is printed.
"""
