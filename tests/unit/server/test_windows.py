# SPDX-License-Identifier: Apache-2.0
"""What all downloads of a server have in hand is one budget, as the reference of limits says."""

from contextlib import ExitStack
from pathlib import Path

import mmar_runner.server
from mmar_runner.server.calls.windows import download_window
from mmar_runner.wire.limits import CHUNK_BYTES, DOWNLOAD_BYTES, LEAST_CHUNK_BYTES


def test_a_download_alone_has_whole_chunks_and_many_share_the_budget() -> None:
    window = download_window()
    with ExitStack() as users:
        users.enter_context(window.user())
        assert window.share == CHUNK_BYTES
        for _ in range(15):
            users.enter_context(window.user())
        assert window.share * 16 == DOWNLOAD_BYTES
        for _ in range(1000):
            users.enter_context(window.user())
        assert window.share == LEAST_CHUNK_BYTES


def test_models_and_packages_have_one_window() -> None:
    """Each had one of its own once, and the server twice what the reference says."""
    sources = {
        path.name: path.read_text()
        for path in Path(mmar_runner.server.__file__).parent.rglob("*.py")
    }
    assert [name for name, text in sources.items() if "DOWNLOAD_BYTES" in text] == ["windows.py"]
    makers = [name for name, text in sources.items() if "= download_window()" in text]
    assert makers == ["assembly.py"]
    assert sources["assembly.py"].count("= download_window()") == 1
