# SPDX-License-Identifier: Apache-2.0
"""What only building shows: networks compared without numbers, and a round on made-up data.

Whatever is built is built in children, whatever is trained is trained by them; here nothing
of an MMAR, and no framework, is imported. It begins where the ordinary check has no error.
"""
