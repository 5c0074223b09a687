# SPDX-License-Identifier: Apache-2.0
"""A filter in the style of its time: drops variables by list or by expression."""

import re

from nvflare.apis.filter import Filter
from nvflare.apis.fl_constant import ShareableKey


class LeaveOut(Filter):
    def __init__(self, exclude_vars=None):
        self.exclude_vars = exclude_vars

    def process(self, shareable, fl_ctx):
        weights = shareable[ShareableKey.MODEL_WEIGHTS]
        if isinstance(self.exclude_vars, list):
            dropped = [name for name in weights if name in self.exclude_vars]
        else:
            dropped = [name for name in weights if re.search(self.exclude_vars, name)]
        for name in dropped:
            del weights[name]
        return shareable
