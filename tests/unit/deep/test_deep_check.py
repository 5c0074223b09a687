# SPDX-License-Identifier: Apache-2.0
"""Networks that do not go together are found where they are declared, by children."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from mmar_runner.deep.check import look_deep
from mmar_runner.deep.options import DeepOptions, memory_of_children
from mmar_runner.mmar.validation import validate
from mmar_runner.storage.tensor_files import TensorWriter
from tests.unit.deep.conftest import PLUGINS, TENSORS, declared, job

TRAIN = "config/config_train.json"
SERVER = "config/config_fed_server.json"


def told(report):
    return [(f.code, f.severity.value, f.file, f.pointer) for f in report.findings]


def line_of(root, file, text):
    lines = (root / file).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_networks_that_go_together_give_no_finding_and_their_sizes(tmp_path, deeply):
    report = deeply(job().write(tmp_path))

    assert report.findings == ()
    sizes = report.deep.networks
    assert {whose: (one.tensors, one.elements, one.bytes) for whose, one in sizes.items()} == {
        "server": (2, 16, 64),
        "client": (2, 16, 64),
    }


@pytest.mark.parametrize(
    ("trained", "code", "words"),
    [
        pytest.param(
            {"w": ["F32", [8, 3]], "b": ["F32", [8]]},
            "MMAR663",
            "w is F32[4, 3] in the server's model and F32[8, 3] in the trainer's network",
            id="layer of another width",
        ),
        pytest.param(
            {"w": ["F32", [4, 3]]},
            "MMAR662",
            "has 1 tensor that the trainer's network lacks: b.",
            id="missing tensor",
        ),
        pytest.param(
            {"w": ["F16", [4, 3]], "b": ["F32", [4]]},
            "MMAR664",
            "w is F32[4, 3] in the server's model and F16[4, 3] in the trainer's network",
            id="dtype",
        ),
    ],
)
def test_a_network_that_cannot_hold_the_model_is_an_error(tmp_path, deeply, trained, code, words):
    root = job(trained=trained).write(tmp_path)

    report = deeply(root)

    # That the declarations differ (MMAR623) is said no more: here is what it means.
    assert told(report) == [(code, "error", TRAIN, "/train/model")]
    (found,) = report.findings
    assert words in found.message
    assert found.line == line_of(root, TRAIN, '"model"')
    made_in = line_of(root, SERVER, '"model": {')
    assert found.hint == f"Declare the same network here and in {SERVER}:{made_in}."
    assert not report.valid


def test_a_checkpoint_of_another_model_is_an_error_at_its_place(tmp_path, deeply):
    root = job().top_level(ckpt_preload_path="models/first.safetensors").write(tmp_path)
    written(root / "models/first.safetensors", w=(7, 3))

    report = deeply(root)

    assert told(report) == [
        ("MMAR640", "error", SERVER, "/ckpt_preload_path"),
        ("MMAR640", "warning", SERVER, "/ckpt_preload_path"),
    ]
    shape = next(f for f in report.findings if f.severity == "error")
    assert (
        "w is F32[7, 3] in the checkpoint and F32[4, 3] in the trainer's network" in shape.message
    )
    assert shape.line == line_of(root, SERVER, "ckpt_preload_path")
    assert shape.hint.startswith("Name a checkpoint of this network")


def test_the_checkpoint_is_what_a_run_begins_with(tmp_path, deeply):
    """What the persistor would make does not meet the trainer's network then."""
    root = job(made={"w": ["F32", [9, 3]], "b": ["F32", [4]]})
    root = root.top_level(ckpt_preload_path="models/first.safetensors").write(tmp_path)
    written(root / "models/first.safetensors", w=(4, 3), b=(4,))

    report = deeply(root)

    assert report.valid
    assert ("MMAR640", "warning", SERVER, "/ckpt_preload_path") in told(report)
    assert report.deep.networks["checkpoint"].elements == 16


def test_a_checkpoint_that_the_persistor_cannot_convert(tmp_path, deeply):
    root = job().top_level(ckpt_preload_path="models/first.bin")
    root = root.file("models/first.bin", b"nothing").write(tmp_path)

    assert ("MMAR631", "error", SERVER, "/ckpt_preload_path") in told(deeply(root))


def test_a_checkpoint_that_is_elsewhere_is_not_said_twice_to_be_missing(tmp_path, deeply):
    root = job().top_level(ckpt_preload_path="/data/first.safetensors").write(tmp_path)

    assert told(deeply(root)) == [("MMAR621", "warning", SERVER, "/ckpt_preload_path")]


def test_tensors_that_only_the_trainer_has_stay_at_each_site(tmp_path, deeply):
    more = {**TENSORS, "head": ["F32", [2]]}

    report = deeply(job(trained=more).write(tmp_path))
    assert ("MMAR665", "warning", TRAIN, "/train/model") in told(report)
    kept = deeply(job(trained=more, kept=["head"]).write(tmp_path))
    assert not [f for f in kept.findings if f.code == "MMAR665"]


@pytest.mark.parametrize(
    ("does", "words"),
    [
        ("raise", "ValueError: width must be even"),
        ("exit", "ended by itself with exit code 3; it last said: out of something"),
        ("hang", "did not end within 2 seconds"),
    ],
)
def test_a_network_that_cannot_be_built_is_an_error_at_its_place(tmp_path, deeply, does, words):
    root = job(trained={**TENSORS, "does": does}).write(tmp_path)

    report = deeply(root, describe_seconds=2.0 if does == "hang" else 60.0)

    found = next(f for f in report.findings if f.code == "MMAR666")
    assert (found.file, found.pointer) == (TRAIN, "/train/model")
    assert words in found.message
    assert found.hint
    assert "Traceback" not in found.message
    assert str(tmp_path) not in found.hint  # of logs that are gone when it is read


def test_a_network_that_no_memory_holds_is_an_error_at_its_place(tmp_path, deeply):
    report = deeply(job(trained={**TENSORS, "does": "100 GB"}).write(tmp_path))

    (found,) = (f for f in report.findings if f.code == "MMAR666")
    assert (found.file, found.pointer) == (TRAIN, "/train/model")
    assert "Cannot allocate memory" in found.message
    assert found.hint.startswith("Declare a smaller one: it may take ")


@pytest.mark.parametrize(
    ("machine", "allowed"), [(4 << 30, 16 << 30), (32 << 30, 32 << 30), (1 << 40, 64 << 30)]
)
def test_a_child_may_take_what_the_machine_has_within_bounds(machine, allowed):
    assert memory_of_children(machine) == allowed


def test_a_child_that_prints_is_understood_all_the_same(tmp_path, deeply, capfd):
    report = deeply(job(trained={**TENSORS, "does": "print"}).write(tmp_path))

    assert report.valid
    assert "hello" not in "".join(capfd.readouterr())


def test_a_persistor_that_describes_nothing_makes_its_model(tmp_path, deeply):
    builder = job(trained={"w": ["F32", [8, 3]], "b": ["F32", [4]]})
    builder.model_persistor("StatedPersistor", model=declared(**TENSORS), says=False)

    assert ("MMAR663", "error", TRAIN, "/train/model") in told(deeply(builder.write(tmp_path)))


def test_a_trainer_that_says_nothing_is_a_note(tmp_path, deeply):
    assert told(deeply(job(says=False).write(tmp_path))) == [
        ("MMAR667", "note", TRAIN, "/train/model")
    ]


def test_a_trainer_that_cannot_say_anything_says_why(tmp_path, deeply):
    report = deeply(job(says=None).write(tmp_path))

    (note,) = [f for f in report.findings if f.code == "MMAR667"]
    assert "it was not compared, and nothing estimated of it; it builds its" in note.message


def test_own_code_is_built_only_with_permission(tmp_path, deeply):
    code = (
        "from mmar_runner.interfaces.client_trainer import ClientTrainer\n"
        "class Own(ClientTrainer):\n"
        "    def train(self, task): ...\n"
        "    def describe(self, context):\n"
        "        raise ValueError('it was built')\n"
    )
    root = job().trainer("own.Own").file("custom/own.py", code).write(tmp_path)

    without = deeply(root)
    assert ("MMAR667", "note") in [(f.code, f.severity) for f in without.findings]
    assert without.valid
    built = deeply(root, own_code=True)
    assert "it was built" in next(f for f in built.findings if f.code == "MMAR666").message


def test_one_side_alone_is_compared_with_nothing(tmp_path, deeply):
    root = job(trained={"w": ["F32", [8, 3]]}).write(tmp_path)

    assert deeply(root, side="server").deep.networks.keys() == {"server"}
    assert deeply(root, side="client").deep.networks.keys() == {"client"}


def test_nothing_is_built_where_the_ordinary_check_has_an_error(tmp_path, plugins, runner):
    root = job().aggregator("FedAgv").write(tmp_path)
    checked = validate(root, plugins.registry)

    assert look_deep(checked, plugins, DeepOptions(plugins_dir=PLUGINS), runner) is checked.report


def test_the_validator_s_process_imports_no_framework_and_no_code_of_the_mmar(tmp_path):
    code = (
        "from mmar_runner.interfaces.client_trainer import ClientTrainer\n"
        "class Own(ClientTrainer):\n"
        "    def train(self, task): ...\n"
    )
    root = job().trainer("own.Own").file("custom/own.py", code).write(tmp_path)
    script = (
        "import sys\n"
        "from mmar_runner.cli.main import main\n"
        "try:\n"
        "    main(['validate-mmar', *sys.argv[1:]])\n"
        "except SystemExit as end:\n"
        "    found = [n for n in sys.modules if n.split('.')[0] in ('torch', 'own', 'monai')]\n"
        "    print(end.code, found)\n"
    )

    options = ["--deep", "--allow-byoc", "--plugins-dir", str(PLUGINS)]
    done = subprocess.run(
        [sys.executable, "-c", script, str(root), *options],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.stdout.splitlines()[-1] == "0 []", done.stdout + done.stderr


def written(path, **shapes):
    path.parent.mkdir()
    with TensorWriter(path, [(name, "F32", shape) for name, shape in shapes.items()]) as writer:
        for name, shape in shapes.items():
            writer.write(name, np.zeros(shape, dtype=np.float32))
        writer.commit()
