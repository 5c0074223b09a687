# SPDX-License-Identifier: Apache-2.0
RATES = (1, 2)
