"""prints the result table of the finished report, and where the report is

usage: python -m pixelprune results [--markdown]
"""

import sys
from pathlib import Path

from pixelprune.reporting import terminal


def main(words: list[str]) -> int:
    """Exit status 0; 2 on a wrong use."""
    if words == ["--markdown"]:
        print(terminal.markdown(Path("report")))
        return 0
    if words:
        help_wanted = words[0] in ("-h", "--help")
        print((__doc__ or "").strip(), file=sys.stdout if help_wanted else sys.stderr)
        return 0 if help_wanted else 2
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else terminal.WIDTH)
    terminal.show(Path("report"), console)
    return 0
