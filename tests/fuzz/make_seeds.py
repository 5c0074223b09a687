# SPDX-License-Identifier: Apache-2.0
"""Makes the seeds anew: ``python -m tests.fuzz.make_seeds``.

They are small valid files, made by the program itself where it writes such files; the others
are samples of the repository. They are kept, so that a search begins where the last one began.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final

from mmar_runner.storage.safetensors_format import encode_header
from mmar_runner.wire import codec
from mmar_runner.wire.messages import (
    HeartbeatRequest,
    ModelHeader,
    PackageHeader,
    RegisterRequest,
    TaskFailure,
    UpdateBegin,
    UpdateCommit,
    UpdateReady,
    UpdateReceipt,
)
from tests.fuzz.seeds_runs import runs
from tests.fuzz.seeds_trust import trust
from tests.fuzz.target import HERE, SEEDS
from tests.fuzz.targets_storage import TENSORS

ROOT: Final = HERE.parent.parent
_SHA: Final = "ab" * 32


def documents() -> Mapping[str, dict[str, bytes]]:
    """Texts that people write."""
    client = (ROOT / "mmars/breast_cancer/config/config_fed_client.json").read_bytes()
    policy = (
        b'{"byoc": "digest", "accepted_digests": ["%s"], "clients": ["site-1"]}' % _SHA.encode()
    )
    slips = b'{\'a\': True, // note\n "b": [1, 2.5e3, ], c: nan, "b": "\\ud800"}'
    project = (
        b"name: demo\nserver:\n  cn: localhost\n  org: org-a\nfl_clients:\n"
        b"  - {client_name: site-1, org: org-b}\nadmin_clients:\n  - email: lead@example.org\n"
        b"    org: org-a\n"
    )
    return {
        "json": {"client": client, "policy": policy, "slips": slips},
        "strict_json": {"policy": policy, "escapes": b'{"a": "\\u00e9\\ud83d\\ude00"}'},
        "yaml": {
            "project": project,
            "all": b'a: &x [1, "\\x41\\u263a", 2.5]\nb: *x\nc: |\n  text\n',
        },
        "data_list": {
            "json": b'{"training": [{"image": "a/1.nii.gz", "label": 1}]}',
            "csv": b"image,label\na/1.nii.gz,0\n",
            "yaml": b"training:\n- a/1.nii.gz\n",
        },
        "setting": {"number": b"NUM_ROUNDS=3", "text": b'A.b-c="x"', "plain": b"K=a=b"},
    }


def tensors() -> Mapping[str, dict[str, bytes]]:
    """Files of tensors."""
    data = bytes(24) + b"\x80\x3f" * 3 + bytes(8)
    update = encode_header(TENSORS) + data
    other = encode_header([("a/b.c", "F8_E4M3", (0, 3)), ("d", "BOOL", (2,))], {"k": "v"})
    files = {"update": update, "other": other + b"\x00\x01", "empty": encode_header([])}
    one = {"update": update}
    return {"header": files, "update": one, "spool": one, "tensor_file": files}


def messages() -> Mapping[str, dict[str, bytes]]:
    """Messages of the protocol."""
    update = tensors()["update"]["update"]
    begin = UpdateBegin(
        token="v1.a.b",
        run_number=1,
        round=2,
        base_sha256=_SHA,
        total_bytes=len(update),
        update_id="u",
        num_samples=10,
        kind="weights",
        metrics={"loss": 0.5},
        validation={"acc": 0.25},
        seconds_train=1.5,
        inline=update,
        sha256=sha256(update).hexdigest(),
    )
    package = PackageHeader(name="demo", digest=_SHA, total_bytes=4, sha256=_SHA)
    parts = {
        "model": b"\x00" + codec.encode_model_part(ModelHeader(round=1, sha256=_SHA, inline=b"x")),
        "chunk": b"\x00" + codec.frame_chunk(b"data"),
        "package": b"\x01" + codec.encode_package_part(package),
        "begin": b"\x02" + codec.encode_update_part(begin),
        "commit": b"\x02" + codec.encode_update_part(UpdateCommit(sha256=_SHA)),
        "failure": b"\x02" + codec.encode_update_part(TaskFailure(reason="OOM", message="m")),
        "ready": b"\x03" + codec.encode_reply(UpdateReady(offset=1, credits=2)),
        "receipt": b"\x03" + codec.encode_reply(UpdateReceipt(duplicate=True, round=2)),
    }
    register = RegisterRequest(client_name="site-1", session_key=bytes(32), mmar_digest=_SHA)
    beat = HeartbeatRequest(token="t", state=2, step=3)
    return {
        "part": parts,
        "requests": {"both": b"\0NEXT\0".join(m.SerializeToString() for m in (register, beat))},
        "announced": {"begin": codec.encode_update_part(begin)},
        "package_header": {"header": codec.encode_package_part(package)},
        "words": {"words": "größer\x1b[2J\n".encode()},
    }


def commands() -> Mapping[str, dict[str, bytes]]:
    """Commands of administrators, a line each."""
    reading = (
        *(b"cat\0-nsT\0logs/a.txt", b"head\0-n\x002\0logs/a.txt", b"tail\0-c5\0logs/a.txt"),
        *(b"grep\0-inb\0A\0logs/a.txt", b"grep\0--\0-n\0logs/a.txt"),
    )
    looking = (b"pwd", b"env", b"ls", b"ls\0-laRtu\0logs", b"ls\0-S\0./logs/")
    return {
        "shell": {
            "looking": b"\n".join(looking),
            "reading": b"\n".join(reading),
        }
    }


FAMILIES: Final = (documents, tensors, messages, commands, trust, runs)


def main() -> None:
    """Write every seed anew."""
    shutil.rmtree(SEEDS, ignore_errors=True)
    for family in FAMILIES:
        for target, files in family().items():
            for name, data in files.items():
                path = Path(SEEDS, target, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)


if __name__ == "__main__":
    main()
