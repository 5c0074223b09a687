# SPDX-License-Identifier: Apache-2.0
"""What Python source says is read, and nothing of it is run."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mmar_runner.mmar.code import installed_names
from mmar_runner.mmar.code.module_source import NotInItsEncodingError, parse_module


def parsed(text):
    return parse_module(textwrap.dedent(text).encode())


def test_names_are_found_wherever_the_top_level_binds_them():
    source = parsed(
        """
        import os.path
        from a.b import c as d
        if os:
            X = 1
        else:
            def f(): ...
        try:
            from e import *
        except ImportError:
            class Other: ...
        (y, z) = 1, 2
        """
    )

    assert source.names == {"os", "d", "X", "f", "Other", "y", "z"}
    assert source.values == {"X"}
    assert source.functions == {"f"}
    assert source.all_of == ("e",)
    assert source.origins == {"d": ("a.b", "c")}
    assert source.imports == {"os": 2, "a": 3}  # what stands in a block may be left out


def test_a_class_says_its_bases_methods_and_arguments():
    source = parsed(
        """
        class A(pkg.Base):
            def __init__(self, x, y=1, *, z, w=2): ...
            def run(self): ...
            alias = run
        class B:
            def __init__(self, **more): ...
        class C: ...
        """
    ).classes

    assert source["A"].bases == ("pkg.Base",)
    assert source["A"].methods == {"__init__", "run", "alias"}
    assert (source["A"].required, source["A"].accepted) == (("x", "z"), {"x", "y", "z", "w"})
    assert (source["B"].required, source["B"].accepted) == ((), None)
    assert (source["C"].required, source["C"].accepted) == (None, None)


@pytest.mark.parametrize(
    "source",
    [
        *(b"def f(:\n", b"# \xe9\nx = 1\n", b"x = 1\0", b"(" * 5000 + b")" * 5000),
        b"import " + b".".join([b"a"] * 400),
    ],
)
def test_what_is_not_python_is_refused(source):
    with pytest.raises((SyntaxError, ValueError)):
        parse_module(source)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package that would end the process if somebody imported it."""
    root = tmp_path / "hospital_networks"
    (root / "inner").mkdir(parents=True)
    stop = "raise SystemExit('imported')\n"
    (root / "__init__.py").write_text(f"{stop}from .nets import *\nfrom .inner import Deep as D\n")
    (root / "nets.py").write_text(f"{stop}class Net:\n    def __init__(self, width): ...\n")
    (root / "inner" / "__init__.py").write_text(
        f"{stop}from ..nets import Net\nclass Deep(Net): ...\ndef make(): ...\n"
    )
    (root / "dynamic.py").write_text(f"{stop}def __getattr__(name): ...\n")
    (root / "absolute.py").write_text(f"{stop}from {root.name}.nets import Net\n")
    (root / "order.py").write_text("".join(f"{name} = _{name} = 1\n" for name in "hdbgacfe"))
    (root / "ring.py").write_text(f"{stop}class A(B): ...\nclass B(A): ...\n")
    (root / "m0.py").write_text(f"{stop}class Far:\n    def __init__(self, width): ...\n")
    for number in range(1, 8):
        (root / f"m{number}.py").write_text(f"{stop}from .m{number - 1} import Far\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for function in (installed_names._names, installed_names._source, installed_names._defined):
        function.cache_clear()
    return root.name


@pytest.mark.parametrize(
    ("path", "lacks"),
    [
        ("Net", False),
        ("D", False),
        ("Nett", True),
        ("inner.Deep", False),
        ("inner.Net", False),
        ("inner.Nothing", True),
        ("nets", False),  # a module
        ("nowhere.Net", True),  # nor is there such a module
        ("dynamic.Whatever", False),  # it makes its names when asked
    ],
)
def test_an_installed_package_is_looked_through_without_importing_it(package, path, lacks):
    assert installed_names.lacks(f"{package}.{path}") is lacks


@pytest.mark.parametrize(
    ("path", "module", "lacking", "near"),
    [
        ("monai.networks.nets.unett.UNet", "monai.networks.nets", "unett", "unet"),
        ("monai.networks.net.UNet", "monai.networks", "net", "nets"),
        ("monai.network.nets.UNet", "monai", "network", "networks"),
        ("monai.networks.nets.UNett", "monai.networks.nets", "UNett", "UNet"),
        ("monai.networks.nets.unet.UNett", "monai.networks.nets.unet", "UNett", "UNet"),
        ("monai.networks.nets.u-net.UNet", "monai.networks.nets", "u-net", "unet"),
    ],
)
def test_where_a_path_ends_too_early_is_said_with_what_is_there(path, module, lacking, near):
    pytest.importorskip("monai")
    found = installed_names.absence(path)

    assert found is not None
    assert found[:2] == (module, lacking)
    assert near in found[2]


@pytest.mark.parametrize(
    "path", ["monai.networks.nets.unet.UNet", "os.path.join.x", "torch.classes.x.Y"]
)
def test_a_module_that_may_be_made_otherwise_is_believed_to_be_there(path):
    assert installed_names.absence(path) is None


def test_a_compiled_module_lacks_nothing(package, tmp_path):
    (tmp_path / package / "fast.cpython-311-x86_64-linux-gnu.so").write_bytes(b"")

    assert not installed_names.lacks(f"{package}.fast.Net")


def test_a_class_is_found_where_it_is_defined_with_the_constructor_it_inherits(package):
    assert installed_names.definition(f"{package}.Net").required == ("width",)
    assert installed_names.definition(f"{package}.D").required == ("width",)
    assert installed_names.definition(f"{package}.inner.make") == "function"
    assert installed_names.definition(f"{package}.inner.Nothing") is None
    assert installed_names.names_in(f"{package}.nets") == ["Net"]
    assert installed_names.names_in(f"{package}.order") == sorted("hdbgacfe")


def test_a_class_is_followed_through_six_modules_and_no_ring(package):
    assert installed_names.definition(f"{package}.absolute.Net").required == ("width",)
    assert installed_names.definition(f"{package}.m6.Far").required == ("width",)
    assert installed_names.definition(f"{package}.m7.Far") is None
    assert installed_names.definition(f"{package}.ring.A").required is None


@pytest.mark.parametrize("rest", ["a." * 5000 + "Net", "x" * 300, ".".join("a" * 25)])
def test_a_name_that_is_too_long_leads_nowhere_and_raises_nothing(package, rest):
    path = f"{package}.{rest}"
    assert installed_names.lacks(path)
    assert not installed_names.is_name(path)
    assert not installed_names.is_module(path)
    assert installed_names.definition(path) is None
    assert not installed_names.is_installed("x" * 5000)


@pytest.mark.parametrize("path", ["nets..Net", ".", "", "nets.\0.Net", "\0.Net"])
def test_a_name_that_no_path_can_have_raises_nothing(package, path):
    assert not installed_names.is_module(f"{package}.{path}")
    assert not installed_names.is_module(path)
    installed_names.lacks(f"{package}.{path}")
    installed_names.lacks(path)


def test_a_package_that_is_not_installed_lacks_nothing():
    assert not installed_names.lacks("no_such_package.Net")
    assert not installed_names.is_installed("no_such_package")
    assert installed_names.is_installed("json")


def test_naming_a_class_of_torch_does_not_import_torch():
    folder = Path(__file__).parents[2] / "broken_mmars" / "class_that_is_not_there"
    code = (
        "import sys; from pathlib import Path;"
        "from mmar_runner.hooks import load_plugins; from mmar_runner.mmar.validation import *;"
        f"found = validate(Path({str(folder)!r}), load_plugins().registry).report.findings;"
        "print([f.code for f in found if f.severity != 'note'],"
        "{'torch', 'numpy'} & sys.modules.keys())"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.strip() == "['MMAR503'] set()"


@pytest.mark.parametrize(
    ("source", "place"),
    [
        (b"# M\xfcller\n", (1, 4)),
        (b"A = 1\nB = 2\nC = 'gr\xfcn'\n", (3, 8)),
        ("# ä\n".encode() + b"\n\xe4\xf6 = 1\n", (3, 1)),
    ],
)
def test_a_byte_that_is_not_utf8_is_found_in_its_place(source, place):
    with pytest.raises(NotInItsEncodingError, match="not UTF-8") as caught:
        parse_module(source)

    assert (caught.value.lineno, caught.value.offset) == place


def test_a_module_may_say_another_encoding():
    assert parse_module(b"# coding: latin-1\nA = '\xfc'\n").names == {"A"}


def test_a_module_that_is_not_utf8_is_found_there_with_its_mend(mmar):
    mmar.write("custom/mine.py", b"A = 1\n\n# M\xfcller\n")

    finding = next(f for f in mmar.findings() if f.severity == "error")

    assert (finding.code, finding.file) == ("MMAR519", "custom/mine.py")
    assert (finding.line, finding.column) == (3, 4)
    assert "UTF-8" in finding.hint
