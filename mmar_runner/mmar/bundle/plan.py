# SPDX-License-Identifier: Apache-2.0
"""What an MMAR would be that is made of a bundle: its files, and what is to be said of it."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from mmar_runner.errors import FormatError, UsageError
from mmar_runner.mmar.bundle.merged import has, merged
from mmar_runner.mmar.bundle.network import Network, find_network
from mmar_runner.mmar.bundle.reading import SUFFIXES, read_configuration
from mmar_runner.mmar.bundle.standing import Standing, asking, standing_in
from mmar_runner.mmar.folder import is_hidden

if TYPE_CHECKING:
    from mmar_runner.documents.json_source import JsonPath
    from mmar_runner.interfaces.catalog import ComponentCatalog
    from mmar_runner.mmar.bundle.standing import BundleFact
    from mmar_runner.mmar.document import Document
    from mmar_runner.mmar.finding import Findings
    from mmar_runner.mmar.folder import MmarFolder

#: Where a bundle lies in the MMAR, and where its code does.
BUNDLE: Final = "bundle"
CODE: Final = "custom/"
_CONFIGS: Final = "configs/"
_SCRIPTS: Final = "scripts/"
_DOCS: Final = "docs/"
_CHECKPOINTS: Final = ("models/model.safetensors", "models/model.pt")
_LICENSES: Final = frozenset({"LICENSE", "LICENSE.txt", "LICENSE.md"})
_REQUIRED: Final = "train::trainer"


@dataclass(frozen=True, slots=True)
class Asked:
    """A place of a configuration that asks for more than to be data.

    Attributes:
        text: What stands there.
        file: The bundle's file.
        line: The line, from 1.
        pointer: The place in the file.
        what: What it asks for.
    """

    text: str
    file: str
    line: int
    pointer: str
    what: str


@dataclass(slots=True)
class Plan:
    """An MMAR that is made of a bundle.

    Attributes:
        copies: Files of the bundle that are taken, by what they are called in the MMAR.
        left_out: Files that are not, with the reason.
        asked: What its configurations ask for that needs a site's leave.
        class_paths: Classes that they name by their path.
        code: Files of the MMAR that are code.
        decide: What somebody has to decide, in sentences.
        config: The configurations, merged as they are evaluated.
        train: The training configuration's file.
        evaluate: The files of the configuration for evaluation; empty for none.
        network: What the server makes the first model of.
        checkpoint: What the run begins with, or None.
        metadata: What the bundle says of itself.
    """

    copies: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    class_paths: list[str] = field(default_factory=list)
    code: list[str] = field(default_factory=list)
    decide: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    train: str = ""
    evaluate: list[str] = field(default_factory=list)
    network: Network = field(default_factory=Network)
    checkpoint: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


def plan_import(
    folder: MmarFolder,
    catalog: ComponentCatalog,
    fact: BundleFact,
    findings: Findings,
    *,
    train: str | None = None,
    evaluate: str | None = None,
) -> Plan:
    """Look at a bundle and return what becomes of it; nothing of it is evaluated.

    Args:
        folder: The bundle.
        catalog: What is installed.
        fact: What whoever will read it states.
        findings: Gets what is wrong with its files.
        train: The training configuration, if it is not one of the usual.
        evaluate: The configuration for evaluation, likewise.

    Raises:
        UsageError: A configuration is not there.
        FormatError: The configurations do not fit each other.
    """
    plan = Plan()
    plan.train = _chosen(folder, "train", train) or _missing(folder)
    second = _chosen(folder, "evaluate", evaluate)
    files = [plan.train, *([second] if second else [])]
    documents = [read_configuration(folder, file, findings) for file in files]
    read = [document for document in documents if document is not None]
    metadata = _chosen(folder, "metadata", None)
    about = read_configuration(folder, metadata, findings) if metadata else None
    if len(read) < len(files):
        return plan
    plan.metadata = {} if about is None else about.value
    plan.config = merged(document.value for document in read)
    if not has(plan.config, _REQUIRED):
        raise FormatError(
            f"{plan.train} declares no {_REQUIRED}", hint="name the configuration by --train"
        )
    plan.evaluate = files if has(plan.config, "validate::evaluator") else []
    for document in [*read, *([about] if about else [])]:
        plan.copies[f"{BUNDLE}/{document.file}"] = document.file
        _look_at(document, partial(_standing, folder, catalog, fact), plan)
    _take_files(folder, plan)
    plan.network = find_network(read[0].value, catalog)
    _begin(folder, plan)
    return plan


def _chosen(folder: MmarFolder, name: str, given: str | None) -> str | None:
    if given is not None:
        file = posixpath.normpath(given)
        if file not in folder.contents:
            raise UsageError(f"there is no {given!a} in the bundle", hint="name a file in it")
        return file
    usual = [f"{_CONFIGS}{name}{suffix}" for suffix in sorted(SUFFIXES)]
    return next((file for file in usual if file in folder.contents), None)


def _missing(folder: MmarFolder) -> str:
    there = ", ".join(sorted(f for f in folder.contents if f.startswith(_CONFIGS))[:10])
    raise UsageError(
        "the folder is no bundle that can be trained: it has no configs/train.json or .yaml",
        hint=f"name it by --train; there are: {there}" if there else "name the bundle's folder",
    )


def _look_at(document: Document, standing: partial[Standing], plan: Plan) -> None:
    for use, known in asking(document.value, standing):
        if known is Standing.UNKNOWN:
            line, pointer = _place(document, use.path)
            plan.asked.append(Asked(use.text, document.file, line, pointer, str(use.kind)))
        elif use.text not in plan.class_paths:
            plan.class_paths.append(use.text)


def _standing(
    folder: MmarFolder, catalog: ComponentCatalog, fact: BundleFact, name: str
) -> Standing:
    module = name.rpartition(".")[0].replace(".", "/")
    own = {f"{module}.py", f"{module}/__init__.py"}
    if module.startswith(_SCRIPTS.rstrip("/")) and not own.isdisjoint(folder.contents):
        return Standing.FREE  # code, which becomes code of the MMAR's own
    return standing_in(catalog, fact, name)


def _place(document: Document, path: JsonPath) -> tuple[int, str]:
    line, _ = document.source.locate(path)
    return line, "/" + "/".join(map(str, path))


def _take_files(folder: MmarFolder, plan: Plan) -> None:
    """Decide about every file that is no configuration which was chosen."""
    taken = set(plan.copies.values())
    for file in sorted(set(folder.contents) - taken):
        if is_hidden(file):
            continue  # such as those of version control; nobody misses them
        if file.startswith(_SCRIPTS):
            plan.copies[f"{CODE}{file}"] = file
            plan.code.append(f"{CODE}{file}")
        elif file.startswith(_DOCS):
            plan.copies[f"docs/{BUNDLE}/{file.removeprefix(_DOCS)}"] = file
        elif file in _LICENSES:
            plan.copies[f"docs/{file}"] = file
        else:
            plan.left_out[file] = _why(file)


def _why(file: str) -> str:
    if file.endswith((".conf", ".config", ".ini")):
        return "a logging configuration of Python's runs code when it is read"
    if file.startswith(_CONFIGS):
        return "nothing in a federation reads it"
    if file.startswith("models/"):
        return "the run begins without it"
    return "it is no part of training or evaluation"


def _begin(folder: MmarFolder, plan: Plan) -> None:
    """Decide what a run begins with: a declared network, or else the bundle's checkpoint."""
    there = next((file for file in _CHECKPOINTS if file in folder.contents), None)
    if plan.network.declaration is not None:
        if there is not None:
            plan.decide.append(
                f"Whether the run begins with the bundle's {there}: copy it into the MMAR, and "
                f'name it in config_fed_server.json as "ckpt_preload_path".'
            )
        return
    if there is None:
        plan.decide.append(
            f"What the run begins with: {plan.network.why}, and the bundle has none of "
            f"{', '.join(_CHECKPOINTS)}. Save a checkpoint there, or declare the network in "
            "config_fed_server.json (model_persistor)."
        )
        return
    plan.checkpoint = there
    plan.copies[there] = there
    plan.left_out.pop(there, None)
