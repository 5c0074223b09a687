# SPDX-License-Identifier: Apache-2.0
"""What `plugins kind` shows: one page, with all that a component of the kind must define."""

from __future__ import annotations

import pytest

from mmar_runner.cli.views.interface_view import interface_page
from mmar_runner.hooks.doctor import INTERFACES
from mmar_runner.interfaces.catalog import ComponentKind
from mmar_runner.testing import contracts


@pytest.mark.parametrize("kind", ComponentKind)
def test_what_a_kind_must_be_is_one_page(kind: ComponentKind) -> None:
    page = interface_page(kind)
    interface = INTERFACES.get(kind)
    assert page.kind == kind
    assert 0 < len(page.text.splitlines()) < 200
    if interface is None:
        assert (page.interface, page.suite) == ("", "")
        return
    assert page.interface == f"{interface.__module__}.{interface.__name__}"
    assert page.suite in contracts.__all__
    abstract = vars(interface)["__abstractmethods__"]
    assert all(f"def {method}(" in page.text for method in abstract)
