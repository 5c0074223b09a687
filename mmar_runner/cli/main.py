# SPDX-License-Identifier: Apache-2.0
"""The program ``mmar-runner``: its options, its commands and how errors leave it.

Exit codes: what the error says (1 unless it says otherwise), 2 for wrong usage, 3 for a
run that stopped and can be resumed, 70 for an error nobody foresaw, 130 after Ctrl-C.
A command ends with its own code by `click.Context.exit`, or by returning an int.
"""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING, Final, NoReturn

import click

from mmar_runner import __version__
from mmar_runner.cli.lazy import LazyCommand, LazyGroup
from mmar_runner.cli.output import (
    Invocation,
    echo_error,
    echo_hint,
    echo_json,
    echo_sentence,
    say,
    write_traceback,
)
from mmar_runner.errors import MmarRunnerError, TaskFailedError, TrustError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_INTERNAL: Final = 70
EXIT_INTERRUPTED: Final = 130

#: Allocations between two young collections. Importing allocates and frees nothing in cycles:
#: with Python's default, a twentieth of a short command's time went into looking.
_YOUNG_OBJECTS: Final = 50_000

_COMMANDS: Final = {
    "validate-mmar": LazyCommand(
        "mmar_runner.cli.commands.validate_mmar",
        "Check MMAR folders completely, before anything runs.",
    ),
    "run-server": LazyCommand(
        "mmar_runner.cli.commands.run_server", "Run the rounds that an MMAR declares."
    ),
    "run-client": LazyCommand(
        "mmar_runner.cli.commands.run_client",
        "Join a run, train on this site's data, submit updates.",
    ),
    "run-combiner": LazyCommand(
        "mmar_runner.cli.commands.run_combiner",
        "Stand between clients and a server, and add up for it.",
    ),
    "status": LazyCommand(
        "mmar_runner.cli.commands.status", "Say what a run is at, and what it waits for since when."
    ),
    "health": LazyCommand(
        "mmar_runner.cli.commands.health", "Ask a server whether it works, for whoever watches it."
    ),
    "report": LazyCommand(
        "mmar_runner.cli.commands.report", "Write a page of a run, with plots, as one HTML file."
    ),
    "simulate": LazyCommand(
        "mmar_runner.cli.commands.simulate", "Run a whole federation on this machine."
    ),
    "init": LazyCommand(
        "mmar_runner.cli.commands.init", "Begin a new MMAR or plugin from a template."
    ),
    "import-bundle": LazyCommand(
        "mmar_runner.cli.commands.import_bundle", "Make an MMAR of a MONAI bundle."
    ),
    "plugins": LazyCommand(
        "mmar_runner.cli.commands.plugins", "List, show and diagnose installed components."
    ),
    "upgrade-mmar": LazyCommand(
        "mmar_runner.cli.commands.upgrade_mmar", "Write an older MMAR anew in the words of today."
    ),
    "sign-mmar": LazyCommand(
        "mmar_runner.cli.commands.sign_mmar", "Sign an MMAR as an administrator of a project."
    ),
    "verify-mmar": LazyCommand(
        "mmar_runner.cli.commands.verify_mmar", "Verify an MMAR as a site does before it runs."
    ),
    "provision": LazyCommand(
        "mmar_runner.cli.commands.provision", "Write certificates and start-up kits for a project."
    ),
    "audit": LazyCommand("mmar_runner.cli.commands.audit", "Verify and show audit logs."),
    "schema": LazyCommand(
        "mmar_runner.cli.commands.schema", "Print the JSON Schema of a file format."
    ),
    "admin": LazyCommand(
        "mmar_runner.cli.commands.admin", "Order something of a server that stands."
    ),
    "policy": LazyCommand(
        "mmar_runner.cli.commands.policy", "Explain which rule decides; accept or block an MMAR."
    ),
}


@click.group(
    name="mmar-runner",
    cls=LazyGroup,
    lazy=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "-v",
    "--verbose",
    count=True,
    help="Say more: progress and tracebacks; twice for debugging messages.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How progress and log messages are written.",
)
@click.version_option(__version__, prog_name="mmar-runner")
@click.pass_context
def cli(ctx: click.Context, verbose: int, log_format: str) -> None:
    """Turn a Medical Model ARchive (MMAR) into a running federated-learning job."""
    # Deferred: --help and --version need no log.
    from mmar_runner.cli.logging import configure_logging  # noqa: PLC0415

    invocation = ctx.ensure_object(Invocation)
    invocation.verbose = verbose
    invocation.log_format = log_format
    configure_logging(verbose=verbose, log_format=log_format)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the program and exit with its exit code.

    Args:
        arguments: Command-line arguments without the program's name; None takes the
            process's own.
    """
    gc.set_threshold(_YOUNG_OBJECTS)
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = words[: words.index("--")] if "--" in words else words
    # Read by hand, since what cannot be parsed must be answered as JSON too.
    sys.exit(_run(words, Invocation(json="--json" in options)))


def _run(arguments: list[str], invocation: Invocation) -> int:
    try:
        code = cli.main(arguments, prog_name="mmar-runner", standalone_mode=False, obj=invocation)
    except click.ClickException as error:
        return _usage(error, invocation)
    except MmarRunnerError as error:
        return _foreseen(error, invocation)
    except (KeyboardInterrupt, click.Abort):
        say("interrupted", err=True)
        return EXIT_INTERRUPTED
    except Exception as error:
        # The one place that catches everything: what nobody foresaw leaves as one
        # sentence, and with -v as it is.
        if invocation.verbose:
            raise
        return _unforeseen(error, invocation)
    return code if isinstance(code, int) else 0


def _usage(error: click.ClickException, invocation: Invocation) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        # A group without a command: the error is the group's help, and that is the answer.
        say(*error.format_message().split("\n"), err=True)
        return error.exit_code
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None and not invocation.json:
        say(*context.get_usage().split("\n"), err=True)
    hint = None if context is None else f"`{context.command_path} --help` says what it takes"
    echo_error(UsageError(error.format_message(), hint=hint), invocation)
    return error.exit_code


def _foreseen(error: MmarRunnerError, invocation: Invocation) -> int:
    if invocation.verbose and not isinstance(error, TaskFailedError):
        # Deferred: only -v formats tracebacks of errors that have a sentence.
        import traceback  # noqa: PLC0415

        say(*"".join(traceback.format_exception(error)).split("\n"), err=True)
    if isinstance(error, TrustError):
        _untrusted(error, invocation)
    else:
        echo_error(error, invocation)
    return error.exit_code


def _untrusted(error: TrustError, invocation: Invocation) -> None:
    """Write an error, and if it is the word of rules, what every rule said."""
    # Deferred: few errors are the answers of rules.
    from mmar_runner.cli.views.decision_view import echo_refusals, steps_json  # noqa: PLC0415
    from mmar_runner.security.decision import RulesRefusedError  # noqa: PLC0415

    cause = error.__cause__
    if not isinstance(cause, RulesRefusedError):
        echo_error(error, invocation)
    elif invocation.json:
        echo_error(error, invocation, steps=steps_json(cause.decision))
    else:
        echo_refusals(cause.decision)


def _unforeseen(error: Exception, invocation: Invocation) -> int:
    path = write_traceback(error)
    message = f"internal error: {type(error).__name__}: {error}"
    hint = f"this is a bug of mmar-runner; the traceback is in {path} (-v shows it here)"
    if invocation.json:
        echo_json({"error": {"reason": "INTERNAL", "message": message, "hint": hint}})
    else:
        echo_sentence("INTERNAL", message)
        echo_hint(hint)
    return EXIT_INTERNAL
