# SPDX-License-Identifier: Apache-2.0
"""Files of global models: several clients share them, and nobody's is another's."""

from __future__ import annotations

from mmar_runner.client.files.slots import ModelSlots, SpareFiles


def test_a_client_has_as_many_files_as_it_needs_at_once(tmp_path):
    slots = ModelSlots(SpareFiles(tmp_path))
    used, waiting = slots.take(), slots.take()
    slots.keep_only((used, waiting))
    assert slots.take() not in {used, waiting}
    slots.keep_only((waiting, None))
    assert slots.take() != waiting
    assert {path.name for path in (used, waiting)} == {
        "model_0.safetensors",
        "model_1.safetensors",
    }


def test_what_one_client_gives_back_is_the_next_ones(tmp_path):
    spare = SpareFiles(tmp_path)
    first, second = ModelSlots(spare), ModelSlots(spare)
    kept = first.take()
    assert second.take() != kept
    first.keep_only(())
    assert second.take() == kept
    second.keep_only((kept,))
    assert first.take() != kept
