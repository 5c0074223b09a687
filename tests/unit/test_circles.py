# SPDX-License-Identifier: Apache-2.0
"""No module of the package needs one that needs it, not even for the sake of types."""

import grimp
import pytest


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """Return what every module of the package imports, at run time or for its types."""
    graph = grimp.build_graph("mmar_runner", cache_dir=None)
    return {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}


def circles(imports: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return what is left when modules that need nothing left are taken away, again and again.

    What stands in a circle is never taken away, nor what needs one that does. The same from
    the other end leaves the circles, and what lies between two of them.
    """
    for _ in range(2):
        left, size = dict(imports), -1
        while len(left) != size:
            size = len(left)
            left = {name: needs & left.keys() for name, needs in left.items()}
            left = {name: needs for name, needs in left.items() if needs}
        imports = {name: {other for other in left if name in left[other]} for name in left}
    return imports


def test_a_circle_is_found():
    found = circles({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()})

    assert found == {"b": {"c"}, "c": {"b"}}


def test_no_modules_import_each_other(imports):
    assert "mmar_runner.cli.main" in imports
    assert circles(imports) == {}
