"""The command `dragoman`: data on stdout, talk and progress on stderr; exit 0 done, 1 failed, 2 usage."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ui.commands import asking, corpus, evaluation, gold, keys, mcp, settings
from ui.terminal import out, say, use_utf8

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


class _RunByDefault(TyperGroup):
    """`eval GOLD` is `eval run GOLD`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ("--help", "-h")):
            args = ["run", *args]
        return super().parse_args(ctx, args)


evaluating = typer.Typer(
    cls=_RunByDefault, no_args_is_help=True, help="Measure an index against gold questions: eval GOLD [OPTIONS]."
)
key_commands = typer.Typer(no_args_is_help=True, help="Keys for a server that others can reach: add, list, remove.")
app.command("index")(corpus.index)
app.command()(corpus.remove)
app.command("list")(corpus.list_documents)
app.command()(corpus.move)
app.command()(corpus.doctor)
app.command()(asking.search)
app.command()(asking.ask)
app.command()(asking.serve)
app.add_typer(evaluating, name="eval")
app.command()(settings.config)
app.command("mcp")(mcp.serve_mcp)
app.add_typer(key_commands, name="key")
app.command()(asking.demo)

key_commands.command()(keys.add)
key_commands.command("list")(keys.list_keys)
key_commands.command()(keys.remove)
evaluating.command()(evaluation.run)
evaluating.command()(evaluation.report)
evaluating.command()(evaluation.runs)
evaluating.command("import")(gold.import_set)

_STOPPED = 130  # what typer makes of Ctrl+C


def main() -> None:
    """Run the command line; every known failure is one line on stderr and exit 1."""
    from index.errors import IndexProblem
    from rag.errors import AnswerProblem

    use_utf8()
    try:
        app(prog_name="dragoman")
    except (IndexProblem, AnswerProblem, ValueError, OSError) as error:
        say(f"error: {' '.join(str(error).split())}")
        raise SystemExit(1) from error
    except SystemExit as end:
        if end.code != _STOPPED:
            raise
        say("stopped; what was finished is kept, and the same command goes on from there")
        raise SystemExit(1) from None


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        out({}, False, f"dragoman {version('dragoman')}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Ask in any language; answered from articles in other languages, every sentence with its passage."""


if __name__ == "__main__":
    main()
