# SPDX-License-Identifier: Apache-2.0
"""Protocol buffer definitions and what ``make protos`` generates from them."""
