# SPDX-License-Identifier: Apache-2.0
"""The commands that every server and every site knows, as data.

A site reads an order by these alone: a command that a plugin adds at the server is nothing
that a site does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from mmar_runner.interfaces.admin_command import CommandSpec, Parameter, Right, TargetKind

_NUMBER: Final = Parameter("N", "int", least=1, summary="the run's number")
_MMAR: Final = Parameter("MMAR", summary="the name of an uploaded MMAR")
_CLIENTS: Final = Parameter("CLIENT", many=True, summary="a client's name")
_ANY, _ONE, _NONE = TargetKind.ANY, TargetKind.ONE, TargetKind.NONE

TRAINING: Final = (
    CommandSpec(
        "check_status",
        "Say what the server, its run and its clients are at, and what is waited for.",
        targets=_ANY,
        examples=("check_status server", "check_status client site-1", "check_status all"),
    ),
    CommandSpec(
        "watch",
        "Follow the run until it has ended.",
        targets=TargetKind.SERVER,
        examples=("watch  # Ctrl-C ends the view, not the run",),
    ),
    CommandSpec(
        "wait_for_clients",
        "Wait until so many clients are connected; for scripts.",
        parameters=(
            Parameter("N", "int", least=1),
            Parameter("SECONDS", "number", optional=True, least=0, summary="at most; 60 if left"),
        ),
        examples=("wait_for_clients 3",),
    ),
    CommandSpec(
        "set_run_number",
        "Choose the run that is deployed and started next.",
        right=Right.TRAIN,
        parameters=(_NUMBER,),
        examples=("set_run_number 3",),
    ),
    CommandSpec(
        "delete_run_number",
        "Delete a run's files at the server and at the clients.",
        right=Right.TRAIN,
        targets=_ANY,
        parameters=(_NUMBER,),
        destructive=True,
        examples=("delete_run_number 3 all",),
    ),
    CommandSpec(
        "deploy",
        "Hand an uploaded MMAR to the server, or to clients, which verify it themselves.",
        right=Right.DEPLOY,
        targets=_ANY,
        parameters=(_MMAR,),
        examples=("deploy study server", "deploy study client site-1 site-2", "deploy study all"),
    ),
    CommandSpec(
        "start",
        "Start the run at the server, or training at clients. Start the server first.",
        right=Right.TRAIN,
        targets=_ANY,
        examples=("start server", "start client", "start all"),
    ),
    CommandSpec(
        "start_mgpu",
        "Start training at clients with several processes or accelerators, by torchrun.",
        right=Right.TRAIN,
        targets=TargetKind.CLIENTS,
        after_target=(Parameter("N", "int", least=1, summary="processes at each client"),),
        examples=("start_mgpu client 2 site-1",),
    ),
    CommandSpec(
        "abort",
        "Stop the run, or training at clients. It can be started again where it was.",
        right=Right.TRAIN,
        targets=_ANY,
        destructive=True,
        examples=("abort client site-2", "abort server"),
    ),
    CommandSpec(
        "restart",
        "Let the server or clients end in order and execute their own command again.",
        right=Right.OPERATE,
        targets=_ANY,
        destructive=True,
        examples=("restart client site-1",),
    ),
    CommandSpec(
        "shutdown",
        "End clients, or the server once no client is connected.",
        right=Right.OPERATE,
        targets=_ANY,
        destructive=True,
        examples=("shutdown client", "shutdown server", "shutdown all"),
    ),
    CommandSpec(
        "remove_client",
        "Let clients go from the run; what they sent for the open round goes with them.",
        right=Right.OPERATE,
        parameters=(_CLIENTS,),
        destructive=True,
        examples=("remove_client site-3",),
    ),
    CommandSpec(
        "reset_client",
        "Give a client its task of the open round again.",
        right=Right.TRAIN,
        parameters=(Parameter("CLIENT"),),
        examples=("reset_client site-3",),
    ),
    CommandSpec(
        "set_min_clients",
        "Change for this run how many updates a round needs.",
        right=Right.TRAIN,
        parameters=(Parameter("N", "int", least=1),),
        examples=("set_min_clients 2",),
    ),
    CommandSpec(
        "set_timeout",
        "Change how long clients may take to answer.",
        right=Right.TRAIN,
        parameters=(Parameter("SECONDS", "number", least=0.1),),
        examples=("set_timeout 30",),
    ),
    CommandSpec(
        "enqueue",
        "Let a run wait until those before it have ended: deployed and started by itself.",
        right=Right.RUN,
        targets=TargetKind.CLIENTS,
        parameters=(_MMAR,),
        server_too=True,
        examples=("enqueue study client site-1 site-2", "enqueue study client"),
    ),
    CommandSpec(
        "dequeue",
        "Take a run that waits out of the queue.",
        right=Right.TRAIN,
        parameters=(Parameter("PLACE", "int", least=1),),
        destructive=True,
        examples=("dequeue 1",),
    ),
    CommandSpec(
        "resume_queue",
        "Let the queue go on after a run was stopped; that run stays stopped.",
        right=Right.TRAIN,
        examples=("resume_queue",),
    ),
    CommandSpec(
        "list_mmars", "List what was uploaded.", right=Right.NOBODY, examples=("list_mmars",)
    ),
    CommandSpec("list_runs", "List the runs that have a folder.", examples=("list_runs",)),
)

VALIDATION: Final = (
    CommandSpec(
        "validate",
        "Show the cross-site matrix: every model on every site's data.",
        parameters=(
            Parameter("DATA_CLIENT", optional=True, summary="on whose data, or `all`"),
            Parameter("MODEL_OWNER", optional=True, summary="whose model"),
        ),
        examples=("validate all", "validate site-1 site-2"),
    ),
    CommandSpec("taskname", "Say the federated task's name.", examples=("taskname",)),
)


def _shell(name: str, summary: str, *examples: str) -> CommandSpec:
    return CommandSpec(name, summary, targets=_ONE, free=True, examples=examples)


SHELL: Final = (
    _shell("pwd", "Say which folder the others look into.", "pwd server"),
    _shell("ls", "List files: [-a -l -t -S -R -u] [PATH].", "ls site-1 -l models"),
    _shell("cat", "Show a text: [-n -b -s -T] FILE.", "cat server summary.json"),
    _shell("head", "Show a text's beginning: [-n N] [-c N] FILE.", "head server -n 5 events.jsonl"),
    _shell("tail", "Show a text's end: [-n N] [-c N] FILE.", "tail site-1 logs/trainer.log"),
    _shell(
        "grep", "Show lines with a fixed text: [-n -i -b] TEXT FILE.", "grep server -i x log.txt"
    ),
    _shell("env", "Show harmless variables of the environment.", "env site-1"),
)

SYSTEM: Final = (
    CommandSpec(
        "sys_info",
        "Show processor, memory, disk and accelerators.",
        right=Right.OPERATE,
        targets=_ANY,
        examples=("sys_info all",),
    ),
)

INSPECTION: Final = (
    CommandSpec("show_users", "List users, organisations and roles.", right=Right.NOBODY),
    CommandSpec("show_sites", "List sites and their organisations.", right=Right.NOBODY),
    CommandSpec("show_rights", "List rights, and what each role has of them.", right=Right.NOBODY),
    CommandSpec("show_rules", "List rules, and what each site says to them.", right=Right.NOBODY),
    CommandSpec("show_config", "Show the authorization as it is in force.", right=Right.NOBODY),
    CommandSpec("show_info", "Say what is known of you and of this server.", right=Right.NOBODY),
    CommandSpec(
        "eval_right",
        "Say whether a user has a right at sites, and which rule decides.",
        right=Right.NOBODY,
        parameters=(
            Parameter("USER"),
            Parameter("RIGHT", summary="upload, deploy, train, view or operate"),
            Parameter("SITE", optional=True, many=True),
        ),
        examples=("eval_right lead@a.org train site-1 server",),
    ),
    CommandSpec(
        "eval_rule",
        "Say what a site says to a rule, and where that stands.",
        right=Right.NOBODY,
        parameters=(Parameter("SITE"), Parameter("RULE", summary="allow_byoc, ...")),
        examples=("eval_rule site-1 allow_byoc",),
    ),
    CommandSpec(
        "eval_user",
        "Say everything that a user may do at a site.",
        right=Right.NOBODY,
        parameters=(Parameter("USER"), Parameter("SITE")),
        examples=("eval_user lead@a.org site-1",),
    ),
)

#: What the console does with calls of their own; their orders are signed like all others.
TRANSFER: Final = (
    CommandSpec(
        "upload",
        "Hand a signed MMAR to the server.",
        right=Right.UPLOAD,
        parameters=(Parameter("FOLDER"), Parameter("SHA256")),
        examples=("upload mmars/study",),
    ),
    CommandSpec(
        "download",
        "Fetch a file, or a folder as an archive, of a run from the server.",
        right=Right.TRAIN,
        parameters=(Parameter("PATH", summary="below the workspace, such as run_1/summary.json"),),
        examples=("download run_1/models/final.safetensors",),
    ),
)

#: What a client does when it is ordered.
OF_A_CLIENT: Final = frozenset(
    {
        "check_status",
        "delete_run_number",
        "deploy",
        "start",
        "start_mgpu",
        "abort",
        "restart",
        "shutdown",
        "enqueue",
        "sys_info",
        *(spec.name for spec in SHELL),
    }
)


def by_name(specs: Iterable[CommandSpec]) -> Mapping[str, CommandSpec]:
    """Return specifications by name."""
    return {spec.name: spec for spec in specs}


#: Every command that is built in.
BUILT_IN: Final = by_name((*TRAINING, *VALIDATION, *SHELL, *SYSTEM, *INSPECTION, *TRANSFER))
