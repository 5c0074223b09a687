# SPDX-License-Identifier: Apache-2.0
"""What is said of a bundle that became an MMAR: for people, and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mmar_runner.documents.words import counted

if TYPE_CHECKING:
    from mmar_runner.mmar.bundle.plan import Plan

_SHOWN: Final = 100
#: Places that are listed for people; bundles have hundreds.
_MOST: Final = 20


def as_json(plan: Plan) -> dict[str, Any]:
    """Return everything, as JSON."""
    network = plan.network
    return {
        "taken": dict(sorted(plan.copies.items())),
        "left_out": dict(sorted(plan.left_out.items())),
        "code": plan.code,
        "expressions": [
            {
                "file": one.file,
                "line": one.line,
                "pointer": one.pointer,
                "what": one.what,
                "text": one.text,
            }
            for one in plan.asked
        ],
        "class_paths": sorted(plan.class_paths),
        "network": network.declaration,
        "checkpoint": plan.checkpoint,
        "decide": plan.decide,
    }


def as_lines(plan: Plan) -> list[str]:
    """Return it as lines of text."""
    lines = [f"taken: {counted(len(plan.copies), 'file')} of the bundle"]
    lines += [f"  {source} -> {file}" for file, source in sorted(plan.copies.items())]
    if plan.left_out:
        lines.append("left out:")
        lines += [f"  {file}: {why}" for file, why in sorted(plan.left_out.items())]
    if plan.code:
        lines.append(f"code: {counted(len(plan.code), 'file')} in custom/; sites must accept it")
    lines += _expressions(plan)
    if plan.class_paths:
        named = ", ".join(sorted(plan.class_paths))
        lines.append(f"class paths, for allowed_path_prefixes of a site's policy: {named}")
    lines.append("to be decided:")
    lines += [f"  {sentence}" for sentence in plan.decide]
    return lines


def readme(plan: Plan, name: str) -> str:
    """Return the MMAR's Readme."""
    about = str(plan.metadata.get("description") or plan.metadata.get("task") or "")
    version = plan.metadata.get("version")
    known = f" (version {version})" if isinstance(version, str) else ""
    said = "\n".join(f"    {line}" for line in as_lines(plan))
    heading = f"# {name}\n\nMade of a MONAI bundle{known} by `mmar-runner import-bundle`."
    return f"{heading}\n\n{about[:2000]}\n\n{said}\n".replace("\n\n\n", "\n")


def _expressions(plan: Plan) -> list[str]:
    if not plan.asked:
        return ["expressions: none; every site can run it without leave for any"]
    where = counted(len(plan.asked), "place")
    lines = [f"expressions: {where}; a site must allow them, or nothing of it is evaluated"]
    for one in plan.asked[:_MOST]:
        shown = one.text if len(one.text) <= _SHOWN else f"{one.text[: _SHOWN - 3]}..."
        what = "" if one.what == "expression" else f"{one.what} "
        lines.append(f"  {one.file}:{one.line} {one.pointer}: {what}{shown}")
    if len(plan.asked) > _MOST:
        lines.append(f"  ... and {len(plan.asked) - _MOST} more (--json lists all)")
    return lines
