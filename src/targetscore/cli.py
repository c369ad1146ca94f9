"""The command ``targetscore``: check a configuration, explain a score."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

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


def _configuration(given: argparse.Namespace) -> dict[str, object]:
    from targetscore.config import read_yaml

    merged = read_yaml("config/config.yaml")
    for path in given.configfile:
        merged = _merge(merged, read_yaml(path))
    return merged


def _merge(below: dict[str, object], above: dict[str, object]) -> dict[str, object]:
    """Merge mappings key by key; anything else is replaced, as snakemake does."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        nested = isinstance(under, dict) and isinstance(value, dict)
        merged[key] = _merge(under, value) if nested else value  # type: ignore[arg-type]
    return merged


def _check(given: argparse.Namespace) -> str:
    from targetscore.checks import check_run, describe
    from targetscore.config import load_run

    run = load_run(_configuration(given))
    return describe(run, check_run(run))


def _explain(given: argparse.Namespace) -> str:
    from targetscore.config import load_config, load_indication
    from targetscore.explain import explain
    from targetscore.genes import load_genes

    config = load_config(_configuration(given))
    indication = load_indication(given.indication, config)
    genes = load_genes(config.knowledge, config.gene_reference)
    folder = f"results/score/{given.indication}"
    return explain(given.antigen, indication, genes, folder, config.scoring)


if __name__ == "__main__":
    sys.exit(main())
