# SPDX-License-Identifier: Apache-2.0
"""D01, D02: packages that would write elsewhere, or bring what is no plain file."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile

import pytest

EVIL = b"evil"


def zipped(root, *entries) -> bytes:
    """Return an honest zip of an MMAR with further entries: (name or ZipInfo, bytes)."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path in sorted(p for p in root.rglob("*") if p.is_file()):
            archive.writestr(path.relative_to(root).as_posix(), path.read_bytes())
        for name, data in entries:
            archive.writestr(name, data)
    return out.getvalue()


def tarred(root, *entries) -> bytes:
    """Return an honest tar of an MMAR with further entries: (TarInfo, bytes)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(p for p in root.rglob("*") if p.is_file()):
            info = tarfile.TarInfo(path.relative_to(root).as_posix())
            info.size, info.mode = path.stat().st_size, 0o644
            archive.addfile(info, io.BytesIO(path.read_bytes()))
        for info, data in entries:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def as_zip(root, name: str) -> bytes:
    return zipped(root, (name, EVIL))


def as_tar(root, name: str) -> bytes:
    return tarred(root, (_tar(name, size=len(EVIL)), EVIL))


def _tar(name, *, kind=tarfile.REGTYPE, size=0, mode=0o644, link="") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.mode, info.linkname = kind, size, mode, link
    return info


NAMES = {
    "parent": "../evil.json",
    "absolute": "/etc/evil.json",
    "drive": "C:\\evil.json",
    "drive_with_a_slash": "C:/evil.json",
    "climbing_inside": "config/../../evil.json",
    "backslash": "..\\evil.json",
    "control": "config/e\x1bvil.json",
    "empty_part": "config//evil.json",
    "dot_part": "config/./evil.json",
    "other_case": "CONFIG/environment.json",
    "twice": "config/environment.json",
    "decomposed": "config/e\u0301.json",
    "signature_as_folder": "signature.json/evil.json",
}


CASES = [(as_zip, name) for name in NAMES] + [(as_tar, name) for name in list(NAMES)[:5]]


@pytest.mark.parametrize("form", [as_zip, as_tar], ids=["zip", "tar"])
def test_d01_nothing_is_written_to_an_absolute_place(hospital, delivered, tmp_path_factory, form):
    """A place that the client could write: only the rule about names keeps it from it."""
    root, elsewhere = hospital.mmar(), tmp_path_factory.mktemp("e")
    delivered.lies.deploy_bytes(form(root, f"{elsewhere}/evil.json"), digest=hospital.digest(root))
    delivered.refused("UNSAFE_PATH")
    assert not list(elsewhere.iterdir())


@pytest.mark.filterwarnings("ignore:Duplicate name")  # that is what is tried
@pytest.mark.parametrize(("form", "name"), CASES, ids=[f"{f.__name__}-{n}" for f, n in CASES])
def test_d01_an_unsafe_name_is_refused_and_nothing_written(hospital, delivered, form, name):
    root = hospital.mmar()
    delivered.lies.deploy_bytes(form(root, NAMES[name]), digest=hospital.digest(root))
    delivered.refused("UNSAFE_PATH")


def test_d01_a_name_with_a_nul_is_refused(hospital, delivered):
    root = hospital.mmar()
    data = as_zip(root, "config/a@.json").replace(b"config/a@.json", b"config/a\0.json")
    delivered.lies.deploy_bytes(data, digest=hospital.digest(root))
    delivered.refused("UNSAFE_PATH")


def _zip(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


ENTRIES = {
    "zip_link": lambda r: zipped(r, (_zip("config/x.json", stat.S_IFLNK | 0o777), b"/etc/passwd")),
    "zip_pipe": lambda r: zipped(r, (_zip("config/x.json", stat.S_IFIFO | 0o644), b"")),
    "zip_device": lambda r: zipped(r, (_zip("config/x.json", stat.S_IFCHR | 0o644), b"")),
    "zip_setuid": lambda r: zipped(r, (_zip("config/x.json", stat.S_IFREG | 0o4755), b"{}")),
    "zip_link_then_child": lambda r: zipped(
        r, (_zip("out", stat.S_IFLNK | 0o777), b"/etc"), ("out/evil.json", EVIL)
    ),
    "tar_link": lambda r: tarred(r, (_tar("x.json", kind=tarfile.SYMTYPE, link="/etc"), b"")),
    "tar_hardlink": lambda r: tarred(
        r, (_tar("x.json", kind=tarfile.LNKTYPE, link="config/environment.json"), b"")
    ),
    "tar_pipe": lambda r: tarred(r, (_tar("x.json", kind=tarfile.FIFOTYPE), b"")),
    "tar_device": lambda r: tarred(r, (_tar("x.json", kind=tarfile.CHRTYPE), b"")),
    "tar_setuid": lambda r: tarred(r, (_tar("x.json", size=2, mode=0o4755), b"{}")),
    "tar_link_then_child": lambda r: tarred(
        r,
        (_tar("out", kind=tarfile.SYMTYPE, link="/etc"), b""),
        (_tar("out/evil.json", size=len(EVIL)), EVIL),
    ),
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_d02_an_entry_that_is_no_plain_file_is_refused(hospital, delivered, entry):
    root = hospital.mmar()
    delivered.lies.deploy_bytes(ENTRIES[entry](root), digest=hospital.digest(root))
    delivered.refused("UNSAFE_ENTRY")


@pytest.mark.parametrize("form", [zipped, tarred], ids=["zip", "tar"])
def test_d01_d02_the_same_package_without_the_evil_entry_runs(hospital, delivered, form):
    root = hospital.mmar()
    delivered.lies.deploy_bytes(form(root), digest=hospital.digest(root))
    delivered.works()


def test_d02_a_bomb_is_refused_before_it_fills_the_disk(hospital, delivered):
    root = hospital.mmar()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config/environment.json", b"{}")
        with archive.open("models/bomb.npz", "w") as file:
            for _ in range(64):
                file.write(bytes(1 << 20))
    # It says that it is small; what comes out is counted.
    data = out.getvalue().replace((64 << 20).to_bytes(4, "little"), (1024).to_bytes(4, "little"))
    delivered.lies.deploy_bytes(data, digest=hospital.digest(root))
    delivered.refused("TOO_LARGE", "FORMAT")


@pytest.mark.parametrize(
    "data",
    [b"", b"\x1f\x8b" + bytes(100), b"\x80\x04cos\nsystem\n."],
    ids=["nothing", "gzip", "pickle"],
)
def test_d02_bytes_that_are_no_package_are_refused(hospital, delivered, data):
    delivered.lies.deploy_bytes(data)
    delivered.refused("FORMAT")
