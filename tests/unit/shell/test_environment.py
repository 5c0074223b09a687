# SPDX-License-Identifier: Apache-2.0
"""``env``: a short list of names, and no secret."""

import pytest

from mmar_runner.errors import UsageError


@pytest.fixture
def said(say, monkeypatch):
    for name, value in {
        "LC_TIME": "C",
        "TZ": "UTC",
        "OMP_NUM_THREADS": "2",
        "MKL_DEBUG": "1",
        "CUDA_VISIBLE_DEVICES": "0",
        "MMAR_RUNNER_PLUGINS": "a\nEVIL=1\x1b[2J",
        "MMAR_RUNNER_TOKEN": "hush-1",
        "PYTHON_KEYRING_PASSWORD": "hush-2",
        "MMAR_RUNNER_PROXY": "http://me:hush-3@proxy",
        "AWS_SECRET_ACCESS_KEY": "hush-4",
        "HOME": "hush-5",
        "XPATH": "hush-6",
        "PATHS": "hush-7",
        "LC_TIME_": "x",
    }.items():
        monkeypatch.setenv(name, value)
    return dict(line.split("=", 1) for line in say("env").splitlines())


def test_harmless_names_are_shown(said):
    assert said["LC_TIME"] == "C"
    assert said["OMP_NUM_THREADS"] == "2"
    assert {"PATH", "TZ", "MKL_DEBUG", "CUDA_VISIBLE_DEVICES"} <= set(said)


def test_a_value_stays_one_line_that_a_terminal_does_not_obey(said):
    assert said["MMAR_RUNNER_PLUGINS"] == "a\\nEVIL=1\\x1b[2J"
    assert "EVIL" not in said


def test_no_secret_and_no_other_name_is_shown(said):
    assert "hush" not in str(said)
    assert said["MMAR_RUNNER_TOKEN"] == said["MMAR_RUNNER_PROXY"] == "(not shown)"
    assert not {"AWS_SECRET_ACCESS_KEY", "HOME", "XPATH", "PATHS"} & set(said)


@pytest.mark.parametrize("words", [["A=1"], ["-i"], ["A=1", "sh"]])
def test_nothing_is_set_or_started(say, words):
    with pytest.raises(UsageError):
        say("env", *words)
