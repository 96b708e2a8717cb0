"""python -m pixelprune COMMAND: one command a file in the folder commands, read without running the others."""

import ast
import difflib
import importlib
import sys
from pathlib import Path

from pixelprune import cli

COMMANDS = Path(__file__).with_name("commands")


def main(words: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 a check or gate said no, 2 the user's mistake, 130 interrupted.

    A command is a module with `main(words) -> int | None` that gets the words behind its name.
    """
    words = sys.argv[1:] if words is None else words
    names = sorted(path.stem for path in COMMANDS.glob("[!_]*.py"))
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage(names))
        return 0
    name, *rest = words
    if name == "--version":
        from importlib.metadata import version

        print(f"pixelprune {version('pixelprune')}")
        return 0
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; there is {', '.join(names)}"
        print(f"error: no command {name!r}{hint}", file=sys.stderr)
        return 2
    with cli.reporting_mistakes():
        return importlib.import_module(f"pixelprune.commands.{name}").main(rest) or 0
    return 2


def usage(names: list[str]) -> str:
    lines = [f"  {name:10}{summary(COMMANDS / f'{name}.py')}" for name in names]
    ending = "Run inside the folder of a study; `python -m pixelprune COMMAND --help` tells more."
    return "\n".join(["usage: python -m pixelprune COMMAND ...", "", *lines, "", ending])


def summary(path: Path) -> str:
    """The first line of a file's docstring."""
    return (ast.get_docstring(ast.parse(path.read_bytes())) or "").partition("\n")[0]


if __name__ == "__main__":
    raise SystemExit(main())
