# SPDX-License-Identifier: Apache-2.0
"""The project's office: from a project file to kits, requests, renewals, revocations."""
