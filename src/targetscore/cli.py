"""The command ``targetscore``: check a configuration, add to it, explain a score."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from targetscore import __version__
from targetscore.errors import TargetscoreError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; errors a user can act on are printed without traceback."""
    parser = argparse.ArgumentParser(prog="targetscore", description=__doc__)
    parser.add_argument("--version", action="version", version=f"targetscore {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    configured = argparse.ArgumentParser(add_help=False)
    configured.add_argument(
        "--configfile",
        action="append",
        default=[],
        help="further configuration, merged over config/config.yaml as snakemake does",
    )
    commands.add_parser(
        "check", parents=[configured], help="verify configuration, tables and local atlases"
    ).set_defaults(run=_check)
    explained = commands.add_parser(
        "explain", parents=[configured], help="the score of one antigen, part by part"
    )
    explained.add_argument("antigen", help="symbol, alias or Ensembl id")
    explained.add_argument("--indication", required=True, help="name of the indication")
    explained.set_defaults(run=_explain)
    pinned = commands.add_parser(
        "pin", parents=[configured], help="write what was fetched into the registry: url, sha256"
    )
    pinned.add_argument("--atlas", nargs="+", default=[], help="rows to pin; without it, all")
    pinned.add_argument(
        "--newest",
        action="store_true",
        help="ask CELLxGENE Discover for the newest version, without a download",
    )
    pinned.set_defaults(run=_pin)
    _describe_own(commands, configured)
    given = parser.parse_args(arguments)
    try:
        print(given.run(given))
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except TargetscoreError as error:
        print(f"{type(error).__name__}\n{error}", file=sys.stderr)
        return 1
    return 0


def _describe_own(commands: Any, configured: argparse.ArgumentParser) -> None:
    """Describe the commands that register what a user brings."""
    atlas = commands.add_parser(
        "add-atlas", parents=[configured], help="look at a file and write its registry row"
    )
    atlas.add_argument("path", help="h5ad, loom or 10x HDF5 file; 10x, GEO text or SOMA folder")
    atlas.add_argument("--name", default="", help="name of the atlas; without it, of the file")
    atlas.add_argument("--registry", default="config/atlases.tsv", help="the TSV to add it to")
    atlas.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="COLUMN=VALUE",
        help="a column of the registry row, for example donor=patient or 'tissue==bone marrow'",
    )
    atlas.add_argument(
        "--label",
        action="append",
        default=[],
        metavar="LABEL=TERM",
        help="the Cell Ontology term of a cell type label, for example 'nk=natural killer cell'",
    )
    atlas.add_argument("--yes", action="store_true", help="write without asking")
    atlas.set_defaults(run=_add_atlas)
    indication = commands.add_parser(
        "add-indication", parents=[configured], help="write a commented indication to start from"
    )
    indication.add_argument("name", help="name of the indication, and of its file")
    indication.add_argument("--title", required=True, help="title of the report")
    indication.add_argument("--disease", required=True, help="MONDO id or name of the disease")
    for side in ("diseased", "healthy"):
        what = f"atlases of {side} cells, ',' between them"
        indication.add_argument(f"--{side}", required=True, type=_names, help=what)
    indication.add_argument(
        "--panel", default=[], type=_names, help="antigens, ',' between them; without it, all"
    )
    indication.set_defaults(run=_add_indication)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _configuration(given: argparse.Namespace) -> tuple[dict[str, object], str]:
    """Return the configuration, and the files it is from for messages."""
    from targetscore.config import read_yaml

    files = ["config/config.yaml", *given.configfile]
    merged: dict[str, object] = {}
    for path in files:
        merged = _merge(merged, read_yaml(path))
    return merged, ", ".join(files)


def _merge(below: dict[str, object], above: dict[str, object]) -> dict[str, object]:
    """Merge mappings key by key; anything else is replaced, as snakemake does."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        nested = isinstance(under, dict) and isinstance(value, dict)
        merged[key] = _merge(under, value) if nested else value  # type: ignore[arg-type]
    return merged


def _check(given: argparse.Namespace) -> str:
    from targetscore.checks import InputError, describe, examine, overview
    from targetscore.config import load_run
    from targetscore.errors import raise_all

    run = load_run(*_configuration(given))
    found = examine(run)
    print(overview(run, found), end="\n\n")
    raise_all(InputError, found.problems)
    return describe(run, found.notices)


def _pin(given: argparse.Namespace) -> str:
    from targetscore.config import load_config
    from targetscore.errors import FetchError
    from targetscore.fetch import pin_registries

    config = load_config(*_configuration(given))
    done = pin_registries(config.registries, given.atlas, given.newest)
    if done.problems:
        print(done.text)
        raise FetchError(done.problems)
    return done.text


def _explain(given: argparse.Namespace) -> str:
    from targetscore.config import load_config, load_indication
    from targetscore.explain import explain
    from targetscore.genes import load_genes

    config = load_config(*_configuration(given))
    indication = load_indication(given.indication, config)
    genes = load_genes(config.knowledge, config.gene_reference)
    folder = f"results/score/{given.indication}"
    return explain(given.antigen, indication, genes, folder, config.scoring)


def _add_atlas(given: argparse.Namespace) -> str:
    from targetscore.config import load_config
    from targetscore.propose.ask import Person
    from targetscore.propose.atlas import AtlasRequest, add_atlas

    request = AtlasRequest(
        given.path, given.registry, given.name, given.set, given.label, given.yes
    )
    asks = sys.stdin.isatty() and not given.yes
    return add_atlas(request, load_config(*_configuration(given)), Person(input, print), asks)


def _add_indication(given: argparse.Namespace) -> str:
    from targetscore.config import load_config
    from targetscore.propose.indication import IndicationRequest, add_indication

    request = IndicationRequest(
        given.name, given.title, given.disease, given.diseased, given.healthy, given.panel
    )
    return add_indication(request, load_config(*_configuration(given)), "config/config.yaml")


if __name__ == "__main__":
    sys.exit(main())
