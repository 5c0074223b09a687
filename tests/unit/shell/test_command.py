# SPDX-License-Identifier: Apache-2.0
"""Which commands are carried out, and what their words must be."""

import pytest

from mmar_runner.errors import NotAuthorizedError, UsageError
from mmar_runner.shell.command import USAGES, shell_command


@pytest.mark.parametrize("words", [[name, "logs/server.log"] for name in (*USAGES, "rm", "sh")])
@pytest.mark.parametrize("allowed", [(), [], frozenset()])
def test_nothing_is_allowed_unless_the_owner_says_so(root, words, allowed):
    with pytest.raises(NotAuthorizedError, match="is not allowed here") as caught:
        shell_command(words, root, allowed)
    assert caught.value.reason == "SHELL_REFUSED"
    assert "admin.allowed_shell_cmds of site_policy.json" in caught.value.hint


def test_what_is_allowed_is_exactly_what_is_listed(root):
    assert shell_command(["ls"], root, ["ls", "cat"]).text
    with pytest.raises(NotAuthorizedError):
        shell_command(["head", "summary.json"], root, ["ls", "cat"])
    with pytest.raises(NotAuthorizedError):
        shell_command(["ls"], root, "ls")  # a text is no list, and allows single letters


@pytest.mark.parametrize("name", ["rm", "/bin/ls", "./ls", "LS", "ls;id", "ls ", "$(id)", "a\x1b"])
def test_an_unknown_command_is_none_even_if_the_owner_lists_it(root, name):
    with pytest.raises(UsageError, match="there is no command") as caught:
        shell_command([name], root, [name, "ls"])
    assert "\x1b" not in caught.value.message


@pytest.mark.parametrize(
    ("name", "hint"),
    [("cta", "Did you mean 'cat'?"), ("rm", "there are: pwd, ls, cat, head, tail, grep, env")],
)
def test_an_unknown_command_is_told_the_near_one_or_all(root, name, hint):
    with pytest.raises(UsageError) as caught:
        shell_command([name], root, ["ls"])
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("words", "cause", "usage"),
    [
        (["cat"], "FILE is missing", "cat [-n -b -s -T] FILE"),
        (["grep", "x"], "FILE is missing", USAGES["grep"]),
        (["cat", "a", "b"], "one argument too many: 'b'", USAGES["cat"]),
        (["ls", "-x"], "unknown option '-x' in '-x'", USAGES["ls"]),
        (["ls", "-lax"], "unknown option '-x' in '-lax'", USAGES["ls"]),
        (["ls", "--all"], "unknown option '--' in '--all'", USAGES["ls"]),
        (["head", "-n"], "a number is missing after '-n'", USAGES["head"]),
        (["head", "-n", "x", "a"], "'-n' takes a number, not 'x'", USAGES["head"]),
        (["head", "-n", "-1", "a"], "'-n' takes a number, not '-1'", USAGES["head"]),
        (["head", "-n", "+1", "a"], "not '+1'", USAGES["head"]),
        (["head", "-n", "٣", "a"], "takes a number", USAGES["head"]),
        (["head", "-n", "9" * 5000, "a"], "word 3 has 5000 letters", None),
        (["head", "-n", "9" * 400, "a"], "takes a number", USAGES["head"]),
        (["head", "-c1", "-n1", "a"], "exclude each other", USAGES["head"]),
        (["pwd", "a"], "one argument too many: 'a'", "pwd"),
        ([], "no command was named", None),
        (["ls"] * 65, "a command of 65 words", None),
        (["cat", "\ud800"], "word 2 is no text: \\ud800", None),
    ],
)
def test_a_wrong_call_says_where_why_and_how(root, words, cause, usage):
    with pytest.raises(UsageError) as caught:
        shell_command(words, root, USAGES)
    assert cause in caught.value.message
    assert caught.value.reason == "USAGE"
    assert caught.value.hint if usage is None else caught.value.hint == f"usage: {usage}"


def test_options_stand_before_or_after_and_end_with_two_dashes(say, root):
    (root / "-n").write_text("dash\n")
    (root / "-").write_text("one dash\n")
    assert say("head", "summary.json", "-n1") == say("head", "-n", "1", "summary.json")
    assert say("cat", "--", "-n") == "dash\n"
    assert say("cat", "-n", "--", "-n") == "     1\tdash\n"
    assert say("cat", "-") == "one dash\n"
