# SPDX-License-Identifier: Apache-2.0
"""A typed line becomes a call, or a sentence that says what is wrong with it."""

from __future__ import annotations

import time

import pytest

from mmar_runner.errors import UsageError
from mmar_runner.interfaces.admin_command import CommandSpec, Parameter, TargetKind, Targets
from mmar_runner.orders.commands import BUILT_IN
from mmar_runner.orders.typed import split, understood

USER = "lead@a.org"
EXAMPLES = [(spec.name, line) for spec in BUILT_IN.values() for line in spec.examples]


def call(line: str) -> object:
    return understood(split(line), BUILT_IN, USER)


#: What the console completes itself before it signs.
LEFT_TO_THE_CONSOLE = {"upload"}


@pytest.mark.parametrize(
    ("name", "line"), [one for one in EXAMPLES if one[0] not in LEFT_TO_THE_CONSOLE]
)
def test_every_example_is_understood(name: str, line: str) -> None:
    found = call(line.partition("  #")[0])
    assert found.spec.name == name
    assert found.user == USER


def test_every_command_that_takes_words_has_an_example() -> None:
    bare = {
        name
        for name, spec in BUILT_IN.items()
        if not spec.examples and (spec.parameters or spec.targets is not TargetKind.NONE)
    }
    assert bare == set()


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_specification_survives_the_way_to_a_console(name: str) -> None:
    spec = BUILT_IN[name]
    assert CommandSpec.from_json(spec.to_json()) == spec
    assert spec.usage.startswith(name)


@pytest.mark.parametrize(
    ("line", "targets"),
    [
        ("check_status server", Targets(server=True)),
        ("check_status client", Targets(all_clients=True)),
        ("check_status client site-1 site-2", Targets(clients=("site-1", "site-2"))),
        ("check_status all", Targets(server=True, all_clients=True)),
        ("watch", Targets(server=True)),
        ("watch server", Targets(server=True)),
        ("enqueue study client site-1", Targets(clients=("site-1",))),
        ("pwd site-1", Targets(clients=("site-1",))),
        ("pwd client site-1", Targets(clients=("site-1",))),
        ("pwd server", Targets(server=True)),
        ("list_mmars", Targets(server=True)),
    ],
)
def test_whom_a_line_is_addressed_to(line: str, targets: Targets) -> None:
    assert call(line).targets == targets


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("set_timeout 0.5", {"SECONDS": 0.5}),
        ("set_run_number 7", {"N": 7}),
        ("start_mgpu client 2 site-1", {"N": 2}),
        ("validate", {}),
        ("validate site-1", {"DATA_CLIENT": "site-1"}),
        ("remove_client a b", {"CLIENT": ["a", "b"]}),
        ("eval_right x@y train", {"USER": "x@y", "RIGHT": "train"}),
        ("eval_right x@y train a b", {"USER": "x@y", "RIGHT": "train", "SITE": ["a", "b"]}),
    ],
)
def test_what_a_line_says(line: str, arguments: dict[str, object]) -> None:
    assert call(line).arguments == arguments


def test_what_follows_the_target_is_free_words_and_nothing_else() -> None:
    found = call("grep site-1 -i 'a b; rm -rf /' \"$(id)\" `id` log.txt")
    assert found.words == ("-i", "a b; rm -rf /", "$(id)", "`id`", "log.txt")


WRONG = {
    "no_such_command": ("launch server", "there is no command 'launch'"),
    "nearly_one": ("check_statu server", "check_status"),
    "no_target": ("check_status", "lacks server, client or all"),
    "a_name_for_a_target": ("check_status site-1", "not to 'site-1'"),
    "more_than_it_takes": ("check_status server site-1", "does not take 'site-1'"),
    "all_of_clients_only": ("enqueue study all", "addressed to client"),
    "the_server_of_clients_only": ("enqueue study server", "addressed to client"),
    "the_server_as_a_client": ("deploy study client server", "where a client's name should"),
    "all_as_a_client": ("deploy study client all", "where a client's name should"),
    "client_as_a_client": ("deploy study client client", "where a client's name should"),
    "a_client_twice": ("start client site-1 site-1", "names a client twice"),
    "shell_at_all": ("ls all", "one target at a time"),
    "shell_nowhere": ("ls", "lacks server, or a client's name"),
    "shell_at_client": ("ls client", "lacks a client's name"),
    "no_number": ("set_run_number", "lacks N"),
    "a_word_for_a_number": ("set_run_number one", "N is a whole number, not 'one'"),
    "a_fraction": ("set_run_number 1.5", "N is a whole number"),
    "zero": ("set_run_number 0", "N is at least 1"),
    "below_zero": ("set_run_number -1", "N is at least 1"),
    "not_a_number": ("set_timeout nan", "SECONDS is a number, not 'nan'"),
    "a_word_for_seconds": ("set_timeout soon", "SECONDS is a number"),
    "no_processes": ("start_mgpu client site-1", "N is a whole number"),
    "an_argument_of_none": ("show_users x", "does not take 'x'"),
    "no_client": ("reset_client", "lacks CLIENT"),
    "two_clients_for_one": ("reset_client a b", "does not take 'b'"),
    "an_escape": ("check_status \x1b[2J", r"\x1b[2J"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_line_that_is_wrong_is_told_in_a_sentence(case: str) -> None:
    line, says = WRONG[case]
    with pytest.raises(UsageError) as refused:
        call(line)
    told = f"{refused.value.message} {refused.value.hint}"
    assert says in told
    assert told.isprintable(), told
    assert refused.value.hint


@pytest.mark.parametrize("line", ["set_timeout inf", "set_timeout 1e400", "set_run_number 1_0"])
def test_numbers_that_nobody_means_are_refused(line: str) -> None:
    with pytest.raises(UsageError):
        call(line)


@pytest.mark.parametrize("digits", [40, 5000, 100_000])
def test_a_number_of_very_many_digits_is_refused_at_once(digits: int) -> None:
    began = time.perf_counter()
    with pytest.raises(UsageError):
        call(f"set_run_number {'9' * digits}")
    assert time.perf_counter() - began < 1


def test_a_quote_that_is_not_closed_is_told() -> None:
    with pytest.raises(UsageError, match="a quote is not closed"):
        split("ls server 'a")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a 'b c' d", ["a", "b c", "d"]),
        ('a "b  c"', ["a", "b  c"]),
        ("a\\ b", ["a\\", "b"]),
        ("a;b|c&d>e", ["a;b|c&d>e"]),
        ("$HOME *", ["$HOME", "*"]),
        ("a #b", ["a", "#b"]),
        ("''", [""]),
        ("", []),
    ],
)
def test_quotes_hold_words_together_and_nothing_else_has_a_meaning(
    line: str, words: list[str]
) -> None:
    assert split(line) == words


def test_a_hundred_thousand_words_are_refused_cheaply() -> None:
    began = time.perf_counter()
    with pytest.raises(UsageError):
        understood(["check_status", "server", *["x"] * 100_000], BUILT_IN, USER)
    assert time.perf_counter() - began < 1


def test_an_optional_parameter_may_be_left_out_and_the_last_takes_many() -> None:
    spec = CommandSpec(
        "x", "", parameters=(Parameter("A"), Parameter("B", optional=True, many=True))
    )
    assert understood(["x", "1"], {"x": spec}, USER).arguments == {"A": "1"}
    assert understood(["x", "1", "2", "3"], {"x": spec}, USER).arguments["B"] == ["2", "3"]
