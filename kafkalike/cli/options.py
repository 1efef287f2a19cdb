"""What the commands share: options in Kafka's style, and failures as one line and exit code 1.

Kafka's tools read their options with jopt-simple: `--name value`, `--name=value`, any unambiguous beginning of a name,
and, for some options, a value that may be left out. Nothing here imports the client; commands do so when they know that
they have to talk to a broker.

Errors are one line, and the exit code is 1. Where Kafka's command has words of its own they are these, on the stream
that it uses, for scripts look for them: "x is not a recognized option", "Error while executing topic command : ",
"could not be deleted due to: "; also the class of an exception where results are listed with it (failure_text).
Everything else is "Error: " and a sentence on standard error, or the sentence alone where it is about what was typed.
The sentence is the broker's own if it sent one; else that of the error, never its code, after the topic, partition,
group or broker that it is about.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

import click

from zk.command_name import typed
from zk.signals import interruptible

VERSION = "3.9.1-kafkalike"


class Fail(click.ClickException):
    """Ends the command with this line and exit code 1."""

    def __init__(self, message: str, *, to_stdout: bool = False) -> None:
        super().__init__(message)
        self.to_stdout = to_stdout


class Command(click.Command):
    """A click command whose errors look like those of Kafka's tools."""

    def __init__(self, *args: Any, bare: bool = False, **more: Any) -> None:
        super().__init__(*args, **more)
        self.bare = bare
        """It does something without any argument; else the help is shown then."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Writes abbreviated names in full first."""
        if not args and not self.bare:
            click.echo(self.get_help(ctx), err=True)
            ctx.exit(1)
        names = [name for p in self.get_params(ctx) for name in p.opts if name.startswith("--")]
        ctx.allow_extra_args = True
        super().parse_args(ctx, [_in_full(arg, names) for arg in args])
        if ctx.args:
            fail(f"{ctx.args[0]} is not an option{_hint('--' + ctx.args[0], ctx)}")
        return ctx.args

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:
        """Runs the command and exits."""
        extra["standalone_mode"] = False
        extra.setdefault("prog_name", typed(self.name or ""))
        code = 0
        try:
            with interruptible(signal.SIGINT):
                result = super().main(args, *rest, **extra)
                code = result if isinstance(result, int) else 0
                sys.stdout.flush()
        except click.exceptions.Exit as end:
            code = end.exit_code
        except click.ClickException as problem:
            _say(problem)
            code = 1
        except (click.Abort, KeyboardInterrupt):
            code = 130
        except BrokenPipeError:
            # The reader of the output has gone; the interpreter shall not complain about that at exit.
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 1
        except Exception as problem:
            if not _expected(problem):
                raise
            print(f"Error: {text_of(problem)}", file=sys.stderr)
            code = 1
        sys.exit(code)


def _in_full(arg: str, names: list[str]) -> str:
    if not arg.startswith("--") or len(arg) < 3:
        return arg
    name, equals, value = arg.partition("=")
    if name in names:
        return arg
    candidates = [full for full in names if full.startswith(name)]
    return candidates[0] + equals + value if len(candidates) == 1 else arg


def _say(problem: click.ClickException) -> None:
    if isinstance(problem, Fail):
        print(problem.message, file=sys.stdout if problem.to_stdout else sys.stderr)
    elif isinstance(problem, click.NoSuchOption):
        told = f"{problem.option_name.lstrip('-')} is not a recognized option"
        print(told + _hint(problem.option_name, problem.ctx), file=sys.stderr)
    elif isinstance(problem, click.BadOptionUsage):
        print(f"Option {problem.option_name.lstrip('-')} requires an argument", file=sys.stderr)
    elif isinstance(problem, click.MissingParameter) and problem.param is not None:
        print(f'Missing required argument "[{problem.param.opts[0].lstrip("-")}]"', file=sys.stderr)
    elif isinstance(problem, click.BadParameter) and problem.param is not None:
        print(f"{problem.param.opts[0].lstrip('-')}: {problem.message}", file=sys.stderr)
    else:
        print(problem.format_message(), file=sys.stderr)


def _hint(option: str, ctx: click.Context | None) -> str:
    """What may have been meant by an option that there is not; an empty text if nothing is like it."""
    names = [] if ctx is None else [name for p in ctx.command.get_params(ctx) for name in p.opts if name[:2] == "--"]
    if option == "--zookeeper" and "--bootstrap-server" in names:
        return ": say --bootstrap-server and the address of a broker"
    if option in ("--broker-list", "--bootstrap-servers") and "--bootstrap-server" in names:
        return ". Did you mean --bootstrap-server?"
    close = difflib.get_close_matches(option, names, 1, 0.7)
    return f". Did you mean {close[0]}?" if close else ""


def _expected(problem: Exception) -> bool:
    """Failures of the cluster or of what was typed, not of ours. Imports only when something failed anyway."""
    from kafkalike.client.errors import Disconnected, TimedOut
    from kafkalike.errors import KafkaError

    return isinstance(problem, (OSError, ValueError, KafkaError, TimedOut, Disconnected))


def _text(problem: Exception) -> str:
    return str(problem) or type(problem).__name__


def text_of(problem: Exception) -> str:
    """A failure in words; for a KafkaError what the broker said."""
    return getattr(problem, "message", None) or _text(problem)


def failure_text(problem: Exception) -> str:
    """A failure as Java's tools print an exception that they did not foresee: a broker's error with its class name."""
    error = getattr(problem, "error", None)
    return text_of(problem) if error is None else f"{EXCEPTIONS}.{_class_name(error.name)}: {text_of(problem)}"


EXCEPTIONS = "org.apache.kafka.common.errors"
# Java's exceptions whose names differ from the errors' names.
CLASS_NAMES = {
    "UNKNOWN_SERVER_ERROR": "UnknownServerException",
    "REQUEST_TIMED_OUT": "TimeoutException",
    "CLUSTER_AUTHORIZATION_FAILED": "ClusterAuthorizationException",
    "GROUP_AUTHORIZATION_FAILED": "GroupAuthorizationException",
    "TOPIC_AUTHORIZATION_FAILED": "TopicAuthorizationException",
    "INVALID_CONFIG": "InvalidConfigurationException",
    "NON_EMPTY_GROUP": "GroupNotEmptyException",
    "MESSAGE_TOO_LARGE": "RecordTooLargeException",
    "NETWORK_EXCEPTION": "NetworkException",
    "INVALID_TOPIC_EXCEPTION": "InvalidTopicException",
    "TOPIC_ALREADY_EXISTS": "TopicExistsException",
}


def _class_name(error: str) -> str:
    return CLASS_NAMES.get(error) or "".join(map(str.capitalize, error.split("_"))) + "Exception"


def read_file(path: str) -> str:
    """What is in a file; ValueError in Kafka's words when it cannot be read."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as problem:
        raise ValueError(f"Unable to read file {path}") from problem


def fail(message: str) -> NoReturn:
    """Ends the command with this line on standard error and exit code 1."""
    raise Fail(message)


def bootstrap_server(required: bool = True, **more: Any) -> Any:
    """--bootstrap-server."""
    return click.option(
        "--bootstrap-server",
        metavar="HOST:PORT,...",
        required=required,
        help="The server(s) to connect to.",
        **more,
    )


def command_config() -> Any:
    """--command-config."""
    return click.option("--command-config", metavar="FILE", help="Properties for the client.")


version = click.version_option(VERSION, "--version", message="%(version)s", help="Show the version and exit.")


def exclusive(given: Mapping[str, Any], used: str, others: Iterable[str]) -> None:
    """`used` cannot be combined with any of the others, in Kafka's words."""
    if not given.get(used):
        return
    for other in others:
        if given.get(other) not in (None, False, ()):
            fail(f'Option "[{used}]" can\'t be used with option "[{other}]"')


def key_values(pairs: Iterable[str]) -> dict[str, str]:
    """`key=value` options; the value may contain "=" and may be missing."""
    found = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        found[key] = value
    return found


def load_properties(path: str | None) -> dict[str, str]:
    """A Java properties file, without its rarer escapes."""
    if path is None:
        return {}
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError as problem:
        fail(f"{path} ({problem.strerror})")
    found, pending = {}, ""
    for raw in lines:
        line = pending + raw.strip()
        pending = ""
        if not line or line[0] in "#!":
            continue
        if line.endswith("\\") and not line.endswith("\\\\"):
            pending = line[:-1]
            continue
        cut = min((line.find(mark) for mark in "=:" if mark in line), default=-1)
        key, value = (line, "") if cut < 0 else (line[:cut], line[cut + 1 :])
        found[key.strip()] = _unescape(value.strip())
    return found


def _unescape(text: str) -> str:
    for escape, plain in (("\\t", "\t"), ("\\n", "\n"), ("\\r", "\r"), ("\\\\", "\\")):
        text = text.replace(escape, plain)
    return text
