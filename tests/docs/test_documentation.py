# SPDX-License-Identifier: Apache-2.0
"""The documentation is held to its word."""

import json
import re
import subprocess
from pathlib import Path

import click
import pytest

from mmar_runner.cli.main import cli

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("plugins/*/*/*.md")])
ADRS = ROOT / "docs" / "adr"
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def name_of(page):
    return str(page.relative_to(ROOT))


def tracked(pattern):
    """Return the files of the repository that match, generated and local ones left out."""
    done = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", pattern],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    names = [name for name in done.stdout.split("\0") if name]
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def commands(group=cli, path=()):
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def section(text, heading):
    match = re.search(
        rf"^#+ {re.escape(heading)}\n(.*?)(?=^## |^### |\Z)", text, re.MULTILINE | re.DOTALL
    )
    return match and match.group(1)


def options(command):
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            yield from (*parameter.opts, *parameter.secondary_opts)


@pytest.fixture(scope="module")
def reference():
    return (ROOT / "docs" / "reference" / "cli.md").read_text()


def test_every_command_and_option_is_in_the_reference(reference):
    missing = []
    for path, command in [(("mmar-runner",), cli), *commands()]:
        text = section(reference, " ".join(path))
        if text is None:
            missing.append(" ".join(path))
            continue
        missing += [
            f"{' '.join(path)} {option}"
            for option in options(command)
            if f"`{option}" not in text and f"{option}`" not in text
        ]
    assert not missing


def test_the_reference_names_no_option_that_is_not_there(reference):
    wrong = []
    for path, command in commands():
        text = section(reference, " ".join(path)) or ""
        named = re.findall(r"^\| `(--[\w-]+)", text, re.MULTILINE)
        wrong += [f"{path} {option}" for option in named if option not in set(options(command))]
    assert not wrong


def test_every_top_command_is_in_the_readme():
    text = (ROOT / "README.md").read_text()
    for path, _ in commands():
        if len(path) == 1:
            assert f"| `{path[0]}" in text, path


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    for target in LINK.findall(page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{name_of(page)} links to {target}"


def test_every_page_is_reached_from_the_index():
    seen, queue = set(), [ROOT / "docs" / "index.md"]
    while queue:
        page = queue.pop()
        seen.add(page)
        links = (page.parent / target for target in LINK.findall(page.read_text()))
        queue += {link.resolve() for link in links if link.suffix == ".md"} - seen
    assert set((ROOT / "docs").glob("**/*.md")) <= seen


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_json_examples_are_json(page):
    for language, body in FENCE.findall(page.read_text()):
        if language == "json":
            # A part of an object stands without the braces around it.
            json.loads(body if body.lstrip().startswith(("{", "[")) else "{" + body + "}")


def test_the_index_of_decisions_is_complete():
    index = (ADRS / "index.md").read_text()
    pages = sorted(ADRS.glob("[0-9]*.md"))
    assert pages
    for number, page in enumerate(pages, 1):
        assert page.name.startswith(f"{number:04d}-"), "numbers have no gaps"
        title = page.read_text().splitlines()[0]
        match = re.fullmatch(rf"# {number:04d}: (.+)", title)
        assert match, f"{page.name} begins with its number and title"
        assert f"| [{number:04d}]({page.name}) | {match[1]} |" in index


@pytest.mark.parametrize("page", sorted(ADRS.glob("[0-9]*.md")), ids=lambda page: page.stem)
def test_a_decision_follows_the_template_on_one_page(page):
    text = page.read_text()
    for heading in re.findall(r"^## .*", (ADRS / "template.md").read_text(), re.MULTILINE):
        assert heading in text
    assert re.search(
        r"^Status: (proposed|accepted|replaced by \d{4})\. Date: \d{4}-", text, re.MULTILINE
    )
    assert len(text.splitlines()) <= 60


def test_coverage_names_places_and_tests_that_exist():
    text = (ROOT / "docs" / "reference" / "coverage.md").read_text()
    rows = [line for line in text.splitlines() if re.match(r"\| [SN]\d", line)]
    assert len(rows) == 22 + 8
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split(" | ")]
        status, *places = cells[3:]
        named = [path for cell in places for path in re.findall(r"`([^`]+)`", cell)]
        for path in named:
            assert (ROOT / path).exists(), f"{cells[0]} names {path}"
        assert status == "planned" or status.startswith(("stands", "partly: ")), row
        if status == "stands":
            assert len(named) >= 2, f"{cells[0]} stands without a place and a test"


FORBIDDEN = re.compile(
    r"(?i)\b(todo|fixme|xxx|hackish|fork of|copied from|chatgpt|claude|copilot|llm)\b"
    r"|/work/|(?<![\w/])issue \d+\b"
)


@pytest.mark.parametrize("pattern", ["*.md", "*.py", "*.json", "*.toml", "Makefile"])
def test_nothing_speaks_of_how_it_was_made(pattern):
    here = Path(__file__)
    found = [
        f"{name_of(file)}: {match.group(0)}"
        for file in tracked(pattern)
        if file != here and (match := FORBIDDEN.search(file.read_text(errors="replace")))
    ]
    assert not found


def test_every_python_file_names_its_licence():
    generated = re.compile(r"_pb2\.pyi?$")
    bare = [
        name_of(file)
        for file in tracked("*.py")
        if not generated.search(file.name)
        and "SPDX-License-Identifier: Apache-2.0" not in file.read_text()[:200]
    ]
    assert not bare


def test_no_file_is_a_room_of_its_own():
    long = [
        name_of(file)
        for file in tracked("mmar_runner/*.py")
        if not file.name.endswith("_pb2.py") and len(file.read_text().splitlines()) > 500
    ]
    assert not long


def test_constraints_pin_torch_and_name_no_index():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert "torch==2.13.0" in pins
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[\w.]+", pin) for pin in pins)


def test_the_wheels_classifiers_and_changelog_agree_on_the_version():
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[
        1
    ]
    code = (ROOT / "mmar_runner" / "__init__.py").read_text()
    assert f'__version__ = "{version}"' in code
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(r"^## \[(Unreleased|" + re.escape(version) + r")\]", changelog, re.MULTILINE)
