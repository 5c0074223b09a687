# SPDX-License-Identifier: Apache-2.0
"""The thread of components: in order, named while they work, left behind if they never return."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

import pytest

from mmar_runner.server.components import component_thread
from mmar_runner.server.components.component_thread import ComponentThread


def fail(error: BaseException) -> None:
    raise error


async def test_work_is_done_in_order_and_all_of_it_before_the_end() -> None:
    thread, done = ComponentThread("components"), list[int]()
    for number in range(100):
        thread.post(partial(done.append, number))
    await thread.close()
    await thread.close()
    assert done == list(range(100))


@pytest.mark.parametrize("error", [KeyError("x"), SystemExit(3)])
async def test_what_is_raised_is_raised_where_it_is_waited_for(error: BaseException) -> None:
    thread = ComponentThread("components")
    with pytest.raises(type(error)):
        await asyncio.wrap_future(thread.submit(partial(fail, error)))
    assert await asyncio.wrap_future(thread.submit(lambda: 7)) == 7
    await thread.close()


async def test_work_that_nobody_waits_for_any_more_is_not_begun() -> None:
    thread, go_on, done = ComponentThread("components"), threading.Event(), list[int]()
    thread.post(partial(go_on.wait, 20))
    given_up = thread.submit(partial(done.append, 1))
    assert given_up.cancel()
    go_on.set()
    await thread.close()
    assert not done


async def test_one_that_never_returns_is_named_until_it_is_left_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(component_thread, "_LAST_SECONDS", 0.05)
    thread, at_work, go_on = ComponentThread("components"), threading.Event(), threading.Event()

    def hold() -> None:
        with thread.does("the handler Lasting at END_RUN"):
            at_work.set()
            go_on.wait(60)

    thread.post(hold)
    await asyncio.to_thread(at_work.wait, 20)
    assert thread.doing == "the handler Lasting at END_RUN"
    closing = asyncio.create_task(thread.close())
    assert not (await asyncio.wait({closing}, timeout=0.1))[0], "it is waited for"
    thread.give_up()
    await closing
    assert thread.doing == "", "nobody waits for it any more"
    assert "the handler Lasting at END_RUN has not returned" in caplog.text
    go_on.set()
