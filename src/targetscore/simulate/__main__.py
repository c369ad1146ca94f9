"""Write a simulated world: ``python -m targetscore.simulate URL FILE``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from targetscore.errors import TargetscoreError, plain
from targetscore.simulate import parse_url, write_world


def main(words: Sequence[str] | None = None) -> int:
    """Write the world a URL names; return 0, or 1 after printing what is wrong."""
    parser = argparse.ArgumentParser(prog="targetscore.simulate", description=__doc__)
    parser.add_argument("url", help="for example 'simulate:myeloma?seed=3&cells=200000'")
    parser.add_argument("file", help="the h5ad file to write")
    arguments = parser.parse_args(words)
    try:
        write_world(parse_url(arguments.url, "command line", "url"), arguments.file)
    except TargetscoreError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{plain(arguments.file)}: cannot be written ({error})", file=sys.stderr)
        return 1
    print(f"{plain(arguments.file)}: written; SIMULATED cells, not data")
    return 0


if __name__ == "__main__":
    sys.exit(main())
