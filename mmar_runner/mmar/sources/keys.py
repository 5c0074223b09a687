# SPDX-License-Identifier: Apache-2.0
"""Which keys of a configuration file are a declaration's, and which are comments."""

from __future__ import annotations

from typing import Final

#: How the keys of comments begin.
COMMENT: Final = ("_", "//", "#", "comment")
#: The keys of a component's declaration.
KEYS: Final = ("name", "path", "args", "disabled")
#: What trainers' parts carry beside their declaration; the trainer knows them.
PART_KEYS: Final = frozenset(
    {"ref", "rank", "log_label", "is_key_metric", "apply", "search", "data_list_file_path"}
    | {"data_file_base_dir", "data_list_key"}
)
