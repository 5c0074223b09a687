# SPDX-License-Identifier: Apache-2.0
"""Private keys on the disk: whole or not at all, readable by their owner, never replaced."""

from __future__ import annotations

import os

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from mmar_runner.errors import KitError
from mmar_runner.security.pki.envelope import key_id
from mmar_runner.security.pki.keys import (
    load_private_key,
    load_release_key,
    load_tls_key,
    load_tls_public,
    new_release_key,
    new_tls_key,
    public_pem,
    save_private_key,
)

KINDS = {"tls": (new_tls_key, load_tls_key), "release": (new_release_key, load_release_key)}


def reason(call, *arguments):
    with pytest.raises(KitError) as caught:
        call(*arguments)
    return caught.value.reason


def names(folder):
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_comes_back_and_only_its_owner_can_read_it(tmp_path, kind):
    make, load = KINDS[kind]
    key, path = make(), tmp_path / "own.key"
    old = os.umask(0)
    try:
        save_private_key(path, key)
    finally:
        os.umask(old)

    assert path.stat().st_mode & 0o777 == 0o600
    assert key_id(load(path).public_key()) == key_id(key.public_key())
    assert names(tmp_path) == ["own.key"]


def test_a_key_that_exists_is_never_replaced(tmp_path):
    path = tmp_path / "own.key"
    save_private_key(path, new_tls_key())
    before = path.read_bytes()

    assert reason(save_private_key, path, new_tls_key()) == "KEY_EXISTS"
    assert path.read_bytes() == before
    assert names(tmp_path) == ["own.key"]


def test_a_key_that_could_not_be_written_is_no_key_and_in_nobodys_way(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            save_private_key(tmp_path / "own.key", new_tls_key())
    assert names(tmp_path) == []
    save_private_key(tmp_path / "own.key", new_tls_key())

    load_tls_key(tmp_path / "own.key")
    assert names(tmp_path) == ["own.key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601, 0o777], ids=oct)
def test_a_key_that_others_can_reach_is_refused_with_the_mend(tmp_path, mode):
    path = tmp_path / "own.key"
    save_private_key(path, new_tls_key())
    path.chmod(mode)

    with pytest.raises(KitError, match="others can read") as caught:
        load_private_key(path)
    assert caught.value.reason == "KEY_READABLE"
    assert f"chmod 600 {path}" in caught.value.hint


def private(key, password=None):
    scheme = serialization.NoEncryption()
    if password:
        scheme = serialization.BestAvailableEncryption(password)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, scheme)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no key",
        public_pem(new_tls_key().public_key()),
        private(new_tls_key(), b"secret"),
        private(rsa.generate_private_key(65537, 2048)),
        private(ec.generate_private_key(ec.SECP384R1())),
    ],
    ids=["empty", "text", "public", "encrypted", "rsa", "p384"],
)
def test_what_is_no_key_of_ours_is_refused(tmp_path, content):
    path = tmp_path / "own.key"
    path.write_bytes(content)
    path.chmod(0o600)

    assert reason(load_private_key, path) == "KEY_FORMAT"


def test_a_missing_key_a_folder_and_a_key_for_something_else_are_refused(tmp_path):
    save_private_key(tmp_path / "tls", new_tls_key())
    save_private_key(tmp_path / "release", new_release_key())

    assert reason(load_private_key, tmp_path / "none") == "KIT_INCOMPLETE"
    assert reason(load_private_key, tmp_path) == "KEY_FORMAT"
    assert reason(load_tls_key, tmp_path / "release") == "KEY_FORMAT"
    assert reason(load_release_key, tmp_path / "tls") == "KEY_FORMAT"


def test_a_pipe_in_place_of_a_key_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "own.key", 0o600)

    assert reason(load_private_key, tmp_path / "own.key") == "KEY_FORMAT"


def test_a_public_key_must_be_on_the_curve():
    pem = public_pem(new_tls_key().public_key())

    assert public_pem(load_tls_public(pem)) == pem
    assert reason(load_tls_public, public_pem(new_release_key().public_key())) == "KEY_FORMAT"
    assert reason(load_tls_public, b"nothing") == "KEY_FORMAT"


@pytest.mark.parametrize("mask", [0o000, 0o002, 0o077, 0o277], ids=oct)
def test_a_key_is_for_its_owner_alone_whatever_the_umask(tmp_path, mask):
    old = os.umask(mask)
    try:
        save_private_key(tmp_path / "own.key", new_tls_key())
    finally:
        os.umask(old)

    assert (tmp_path / "own.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("kind", ["file", "symlink", "dangling", "pipe"])
def test_what_stands_in_a_keys_place_is_neither_followed_nor_changed(tmp_path, kind):
    path, victim = tmp_path / "own.key", tmp_path / "victim"
    victim.write_bytes(b"precious")
    plant = {
        "file": lambda: path.write_bytes(b"precious"),
        "symlink": lambda: path.symlink_to(victim),
        "dangling": lambda: path.symlink_to(tmp_path / "made"),
        "pipe": lambda: os.mkfifo(path),
    }
    plant[kind]()
    before = path.lstat()

    assert reason(save_private_key, path, new_tls_key()) == "KEY_EXISTS"
    assert path.lstat() == before
    assert victim.read_bytes() == b"precious"
    assert sorted(names(tmp_path)) == ["own.key", "victim"]
