# SPDX-License-Identifier: Apache-2.0
"""A round carried out: one writer, who is asked, what is counted, how it is combined.

What is to be done is decided in `mmar_runner.federation`; here it is done.
"""
