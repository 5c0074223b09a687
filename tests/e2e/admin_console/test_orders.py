# SPDX-License-Identifier: Apache-2.0
"""One order from the command line, lines of a pipe, and commands that a plugin brings."""

import json
from pathlib import Path

from jsonschema import Draft202012Validator

from mmar_runner.documents.schema_store import load_schema

PLUGIN = """
from mmar_runner.hooks import hookimpl
from mmar_runner.interfaces.admin_cmd_module import AdminCmdModule
from mmar_runner.interfaces.admin_command import CommandSpec, Right
from mmar_runner.interfaces.admin_event import Text, Value


class Bell(AdminCmdModule):
    def get_commands(self):
        return [
            CommandSpec("ring", "Ring the bell."),
            CommandSpec("break_it", "Break the bell.", right=Right.NOBODY),
        ]

    async def execute(self, call, operations):
        if call.spec.name == "break_it":
            raise RuntimeError("the bell of patient 4711 is broken")
        yield Text("ding")
        yield Value({"rung": True})


@hookimpl
def mmar_register_components(registry):
    registry.add(kind="admin_cmd_module", name="Bell", target=":Bell", summary="A bell.")
"""


def fits(schema, text):
    value = json.loads(text)
    Draft202012Validator(load_schema(schema)).validate(value)
    return value


def test_one_order_and_its_exit_code(federation):
    with federation.office(), federation.clients():
        done = federation.order("check-status", "all")
        assert (done.returncode, "site-1" in done.stdout) == (0, True)
        result = fits("admin_result", federation.order("--json", "check_status", "all").stdout)
        assert set(result["value"]["clients"]) == {"site-1", "site-2"}
        assert federation.ordered("check_status", "server", "--json")["status"] == "done"

        # An answer is missing: partial.
        done = federation.order("--json", "check_status", "client", "site-1", "site-9")
        assert done.returncode == 1, done.stdout
        # Refused.
        done = federation.order("--json", "deploy", "nothing", "server")
        assert done.returncode == 1
        assert fits("error", done.stdout)["error"]["reason"] == "UNKNOWN"
        # Wrong usage, by the server's own list.
        for words in (("chek_status",), ("check_status", "nobody"), ("set_run_number", "x")):
            done = federation.order(*words)
            assert (done.returncode, "hint: " in done.stderr) == (2, True), words
        assert "Did you mean 'check_status'?" in federation.order("chek_status").stderr
        assert fits("error", federation.order("--json", "chek_status").stdout)
        assert federation.order("--json").returncode == 2

        # Nobody to ask: nothing is done.
        done = federation.order("--json", "shutdown", "all")
        assert done.returncode == 2
        assert fits("error", done.stdout)["error"]["reason"] == "NOT_CONFIRMED"
        assert federation.ordered("check_status", "server")["value"]["server"]["clients"]
        shut = federation.order("--yes", "shutdown", "client", "site-2")
        assert shut.returncode == 0, shut.stderr


def test_a_run_watched_by_a_program(federation):
    environment = federation.mmar / "config" / "environment.json"
    with federation.office(), federation.clients():
        assert json.loads(environment.read_text())["SECONDS"] == 0.3
        for words in ("upload study", "set_run_number 1", "deploy study all", "start all"):
            federation.ordered(*words.split())
        assert federation.order("--yes", "--timeout", "3", "watch").returncode == 1
        assert federation.order("--yes", "abort", "server").returncode == 0
        watched = federation.order("--json", "watch")
        assert watched.returncode == 1  # a script must not go on with what was not finished
        statuses = [json.loads(line) for line in watched.stdout.splitlines()]
        assert statuses[-1]["status"] == "stopped"


def test_lines_of_a_pipe(federation):
    with federation.office():
        lines = "# a remark\n- another\n\ncheck_status server  # why not\ninfo > info.txt\nbye\nx\n"
        done = federation.order(text=lines)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("Done [") == 3
        assert "certificate until" in (federation.folder / "info.txt").read_text()
        done = federation.order(text="nothing\ncheck_status server\nshutdown server\n")
        assert done.returncode == 1
        assert done.stdout.count("Done [") == 3  # whatever went wrong, the rest is done
        assert "COMMAND_UNKNOWN" in done.stderr
        assert "NOT_CONFIRMED" in done.stderr
        assert federation.order("--yes", text="shutdown server\n").returncode == 0


def test_commands_that_a_plugin_brings(federation):
    plugins = federation.folder / "plugins"
    plugins.mkdir()
    (plugins / "bell.py").write_text(PLUGIN)
    with federation.office("--plugins-dir", str(plugins)) as office:
        assert federation.ordered("ring")["value"] == {"rung": True}
        assert "Ring the bell." in federation.order("help").stdout
        done = federation.order("break_it")
        assert done.returncode == 1
        assert "COMPONENT_FAILED" in done.stderr
        assert "4711" not in done.stderr
        assert "patient 4711" in office.stderr
        assert federation.ordered("ring")["status"] == "done"
        office.terminate()
        office.wait()
    policy = Path(federation.kits.server / "site_policy.json")
    value = json.loads(policy.read_text()) if policy.exists() else {}
    policy.write_text(json.dumps({**value, "admin": {"modules": []}}))
    policy.chmod(0o600)
    with federation.office("--plugins-dir", str(plugins)):
        assert federation.order("ring").returncode == 2
