# SPDX-License-Identifier: Apache-2.0
"""Tokens are good for one certificate, one session, one run and a short time."""

import hmac
import secrets
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmar_runner.errors import KitError, RefusedError
from mmar_runner.security.tokens import TokenMint, workspace_secret

SECRET = b"s" * 32
MINT = TokenMint(SECRET, lifetime=900)
TOKEN = MINT.issue("site-1", "ab" * 32, 3, "fp-1", now=1_000.0)


def refusal(token: str, *, fingerprint: str = "fp-1", now: float = 1_001.0) -> str:
    with pytest.raises(RefusedError) as refused:
        MINT.read(token, fingerprint=fingerprint, now=now)
    return refused.value.reason


def test_a_token_says_what_it_was_issued_for() -> None:
    claims = MINT.read(TOKEN, fingerprint="fp-1", now=1_001.0)
    assert (claims.client, claims.session, claims.run_number) == ("site-1", "ab" * 32, 3)
    assert claims.expires == 1_900.0


def test_another_process_with_the_same_secret_knows_it_again() -> None:
    again = TokenMint(SECRET, lifetime=10)
    assert again.read(TOKEN, fingerprint="fp-1", now=1_001.0).client == "site-1"


def test_a_token_of_another_certificate_is_not_bound_to_this_one() -> None:
    assert refusal(TOKEN, fingerprint="fp-2") == "TOKEN_NOT_BOUND"
    assert refusal(TOKEN, fingerprint="") == "TOKEN_NOT_BOUND"


def test_a_token_expires() -> None:
    MINT.read(TOKEN, fingerprint="fp-1", now=1_899.9)
    assert refusal(TOKEN, now=1_900.0) == "TOKEN_EXPIRED"
    with pytest.raises(RefusedError, match="expired 2700 s ago") as refused:
        MINT.read(TOKEN, fingerprint="fp-1", now=4_600.0)
    assert refused.value.reason == "TOKEN_EXPIRED"


def test_a_token_is_renewed_after_half_of_its_life() -> None:
    claims = MINT.read(TOKEN, fingerprint="fp-1", now=1_001.0)
    assert not MINT.wants_renewal(claims, now=1_450.0)
    assert MINT.wants_renewal(claims, now=1_451.0)


def test_a_token_of_another_server_is_not_one_of_ours() -> None:
    other = TokenMint(b"o" * 32, lifetime=900).issue("site-1", "ab" * 32, 3, "fp-1", now=1_000.0)
    assert refusal(other) == "TOKEN_INVALID"


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "v1..",
        "none.e30.",
        "\u2603",
        "v1.e30.e30",
        "x" * 100_000,
        TOKEN + "=",
        " " + TOKEN,
    ],
    ids=["empty", "dot", "dots", "bare", "none", "snowman", "braces", "long", "padded", "spaced"],
)
def test_what_is_no_token_is_refused(token: str) -> None:
    assert refusal(token) == "TOKEN_INVALID"


def test_the_algorithm_cannot_be_chosen() -> None:
    body = TOKEN.split(".")[1]
    for head in ("v0", "none", "v2"):
        assert refusal(f"{head}.{body}.{TOKEN.split('.')[2]}") == "TOKEN_INVALID"
        assert refusal(f"{head}.{body}.") == "TOKEN_INVALID"


@given(st.integers(0, len(TOKEN) - 1), st.integers(1, 127))
def test_a_changed_letter_is_found(index: int, change: int) -> None:
    letter = chr(ord(TOKEN[index]) ^ change)
    assert refusal(TOKEN[:index] + letter + TOKEN[index + 1 :]) == "TOKEN_INVALID"


@given(st.binary(max_size=200))
def test_other_claims_under_the_same_mac_are_refused(body: bytes) -> None:
    forged = f"v1.{urlsafe_b64encode(body).decode()}.{TOKEN.rpartition('.')[2]}"
    assert refusal(forged) == "TOKEN_INVALID"


def test_a_token_of_any_length_is_known_again_up_to_the_longest() -> None:
    for letters in range(1, 700):
        client = "s" * letters
        token = MINT.issue(client, "ab" * 32, 3, "fp-1", now=1_000.0)
        if len(token) > 1024:
            break
        assert MINT.read(token, fingerprint="fp-1", now=1_001.0).client == client
    assert refusal(token) == "TOKEN_INVALID"
    assert len(token) == 1025


def test_a_token_from_before_runs_had_a_history_has_none() -> None:
    claims = urlsafe_b64encode(b'["site-1","ab",3,"fp-1",1900.0]').decode().rstrip("=")
    mac = hmac.digest(SECRET, f"v1.{claims}".encode(), "sha256")
    token = f"v1.{claims}.{urlsafe_b64encode(mac).decode().rstrip('=')}"
    read = MINT.read(token, fingerprint="fp-1", now=1_001.0)
    assert (read.client, read.run_number, read.history) == ("site-1", 3, "")


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="fewer than 32"):
        TokenMint(b"short", lifetime=1)


def test_the_secret_is_made_once_and_for_its_owner_alone(tmp_path) -> None:
    path = tmp_path / "token.key"
    first = workspace_secret(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert workspace_secret(path) == first
    assert workspace_secret(tmp_path / "other.key") != first


def test_a_server_that_was_killed_while_it_made_the_secret_resumes(tmp_path, monkeypatch) -> None:
    def killed(_: int) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(secrets, "token_bytes", killed)
        with pytest.raises(KeyboardInterrupt):
            workspace_secret(tmp_path / "token.key")
    assert len(workspace_secret(tmp_path / "token.key")) == 32
    assert [path.name for path in tmp_path.iterdir()] == ["token.key"]


def test_of_two_that_make_the_secret_at_once_both_have_the_first(tmp_path, monkeypatch) -> None:
    path = tmp_path / "token.key"

    def overtaken(count: int) -> bytes:
        if count != 32:  # the name of a file on its way to the disk
            return b"n" * count
        path.write_bytes(b"f" * count)
        path.chmod(0o600)
        return b"s" * count

    monkeypatch.setattr(secrets, "token_bytes", overtaken)
    assert workspace_secret(path) == b"f" * 32


def test_a_secret_that_others_may_read_is_refused(tmp_path) -> None:
    path = tmp_path / "token.key"
    workspace_secret(path)
    path.chmod(0o640)
    with pytest.raises(KitError, match="may be read by others") as refused:
        workspace_secret(path)
    assert refused.value.reason == "KEY_READABLE"


def test_a_damaged_secret_is_refused(tmp_path) -> None:
    path = tmp_path / "token.key"
    path.write_bytes(b"short")
    path.chmod(0o600)
    with pytest.raises(KitError, match="damaged"):
        workspace_secret(path)


def test_a_token_says_what_the_run_had_done_when_it_was_issued() -> None:
    token = MINT.issue("site-1", "ab" * 32, 3, "fp-1", now=1_000.0, history="e2")
    assert MINT.read(token, fingerprint="fp-1", now=1_001.0).history == "e2"
    assert MINT.read(TOKEN, fingerprint="fp-1", now=1_001.0).history == ""
