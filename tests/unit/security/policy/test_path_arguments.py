# SPDX-License-Identifier: Apache-2.0
"""Which texts may lead out of a folder, in whatever spelling."""

from __future__ import annotations

import json

import pytest

from mmar_runner.security.policy.path_arguments import allowed_argument, leaves_folder, stripped


def nested(text, times):
    """Return a text as a list in JSON, and that as a text in a list, so many times."""
    for _ in range(times):
        text = json.dumps([text])
    return text


OUTSIDE = {
    "variable inside": "x/$HOME/y",
    "braces inside": "x/${HOME}/y",
    "percent inside": "x/%TEMP%/y",
    "byte order mark": "\ufeff/etc/passwd",
    "zero width space": "\u200b/etc/passwd",
    "no-break space": "\u00a0/etc/passwd",
    "control character": "\x1f/etc/passwd",
    "delete character": "\x7f/etc/passwd",
    "space after dots": "a/.. /x",
    "space before dots": "a/ ../x",
    "mark within dots": "a/.\u200b./x",
    "encoded dots": "a/%2e%2E/x",
    "encoded separator": "..%2f..%2fetc",
    "encoded separator below": "x/..%2fetc%2fpasswd",
    "encoded backslash": "x..%5c..%5cetc",
    "encoded separators alone": "x%2F..%2Fy",
    "encoded twice": "..%252f..%252fetc",
    "encoded far too often": "..%" + "25" * 20 + "2fetc",
    "encoded leading slash": "%2fetc",
    "encoded slash of another kind": "..%EF%BC%8Fetc",
    "encoded address": "file%3A//etc",
    "leading slash of another kind": "\u2215etc",
    "full width slash": "\uff0fetc",
    "two-dot leader": "\u2025/x",
    "UNC name": "\\\\host\\share",
    "list": "a,/etc/passwd",
    "option": "--root=/etc",
    "second word": "read /etc/passwd",
    "quoted": "['/etc/passwd']",
    "home in a list": "a:~/x",
    "climbing item": "a,../x",
    "JSON": json.dumps(["/etc/passwd"]),
    "JSON with escapes": '["\\u002fetc"]',
    "JSON key": json.dumps({"~/x": 1}),
    "JSON in JSON": json.dumps([json.dumps(["/etc"])]),
    "JSON with an escaped slash": '["\\/etc"]',
    "JSON object with an escaped slash": '{"a": "\\/etc"}',
    "JSON text with an escaped slash": '"\\/etc"',
    "JSON nested too deep": nested("x", 9),
    "harmless, but encoded too often": "a%" + "25" * 8 + "41",
    "JSON text": '"\\u002fetc"',
    "source": "\\x2fetc",
    "octal": "\\057etc",
}


@pytest.mark.parametrize("text", OUTSIDE.values(), ids=OUTSIDE.keys())
def test_a_text_that_somebody_may_take_for_a_place_outside_is_one(text):
    assert leaves_folder(text)
    assert not allowed_argument(text, ["/data", "/etc"])


@pytest.mark.parametrize(
    "text",
    [
        *("a/.../b", "image/label", "32,64,64", "%Y-%m", "2024/01/02", "a and / or b", "x: y"),
        *("layer[0]/w", '{"a": 1}', "[1, 2]", "(conv|head)/.*", "mean_dice", "1/2", "{NAME}/x"),
        *(nested("x", 8), "a%" + "25" * 7 + "41"),
        *("üX../b", "X../b"),
        *("50%", "a%2Fb", "%05d.png", "100%25", "loss %2f", "a%20b/c%2525"),
    ],
)
def test_ordinary_text_stays_inside(text):
    assert not leaves_folder(text)


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("/data/a/b", True),
        ("/data/a%2Fb", True),
        ("/data/..%2f..%2fetc", False),
        # Behind a link, ".." is where the link leads, which nobody can see from a text.
        ("/data/a/../b", False),
        ("/data/..", False),
        ("/../data", False),
        ("/data/a..b/..c", True),
        ("/data/$X/..", False),
        ("/data/a,/etc", False),
        ("/data/.. /etc", False),
        ("/data\u200b", False),
        ("a/../b", True),
        ("X~/b", True),
        ("/Xdata/b", False),
        ("~/..", False),
    ],
)
def test_a_folder_of_the_site_frees_nothing_but_plain_paths_in_it(text, allowed):
    assert allowed_argument(text, ["/data"]) is allowed


def test_what_cannot_be_seen_is_stripped_at_both_ends():
    assert stripped("\ufeff \u2028a b\u200b\n") == "a b"


def test_a_folder_is_that_folder_and_no_shorter_name():
    assert allowed_argument("/dataX/b", ["/dataX/"])
    assert not allowed_argument("/data/b", ["/dataX"])
    assert not allowed_argument("/dataXY", ["/dataX"])
