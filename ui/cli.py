"""The command `dragoman`: data on stdout, talk and progress on stderr; exit 0 done, 1 failed, 2 usage."""

from __future__ import annotations

from typing import Annotated

import typer

from ui.commands import asking, corpus, evaluation
from ui.terminal import out, say, use_utf8

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Ask in any language; answered from articles in other languages, every sentence with its passage.",
)
app.command("index")(corpus.index)
app.command()(corpus.remove)
app.command("list")(corpus.list_documents)
app.command()(corpus.doctor)
app.command()(asking.search)
app.command()(asking.ask)
app.command()(asking.serve)
app.command("eval")(evaluation.evaluate)
app.command()(asking.demo)

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
