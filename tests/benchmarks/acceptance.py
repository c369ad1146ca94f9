"""The acceptance tests on many worlds: ``python tests/benchmarks/acceptance.py [seeds]``.

Writes acceptance.md beside this file: every check on ten seeds, and those whose answer may
differ with the atlas on ten seeds, three dispersions and three healthy atlases, with and
without patients who lost an antigen. Nothing is tuned to it; a rate below ten stays as it is.
"""

import contextlib
import sys
import tempfile
from collections import Counter
from pathlib import Path

from acceptance_checks import BY_ATLAS, CHECKS, Case
from worlds import ATLASES, add_up, no_escape

from targetscore.simulate import World

DISPERSIONS = (0.7, 2.0, 6.0)
SEEDS = 10
GENES = 500


def every_check(seeds: range) -> list[str]:
    """Return a row per check: how many seeds pass, and the figure of the first that does not."""
    passed, failing = Counter(), {}
    for seed in seeds:
        world = World(seed=seed, genes=GENES)
        with tempfile.TemporaryDirectory() as folder:
            case = Case(add_up(world), add_up(world, 0.5, seed), Path(folder))
            for place, (_, _, check) in enumerate(CHECKS):
                ok, figure = check(case)
                passed[place] += ok
                if not ok:
                    failing.setdefault(place, f"seed {seed}: {figure}")
    return [
        f"| {number} | {title} | {passed[place]}/{len(seeds)} | {failing.get(place, '')} |"
        for place, (number, title, _) in enumerate(CHECKS)
    ]


def by_atlas(seeds: range) -> list[str]:
    """Return a row per check, dispersion and kind of world: seeds that pass, by atlas."""
    titles = {check: title for _, title, check in CHECKS}
    passed: Counter = Counter()
    for dispersion in DISPERSIONS:
        for escape in (True, False):
            for seed in seeds:
                world = World(seed=seed, genes=GENES, dispersion=dispersion)
                with contextlib.nullcontext() if escape else no_escape():
                    sums = add_up(world)
                with tempfile.TemporaryDirectory() as folder:
                    case = Case(sums, None, Path(folder))
                    for check in BY_ATLAS:
                        for atlas in ATLASES:
                            passed[check, dispersion, escape, atlas] += check(case, atlas)[0]
    return [
        f"| {titles[check]} | {dispersion:g} | {'yes' if escape else 'no'} | "
        + " | ".join(f"{passed[check, dispersion, escape, a]}/{len(seeds)}" for a in ATLASES)
        + " |"
        for check in BY_ATLAS
        for dispersion in DISPERSIONS
        for escape in (True, False)
    ]


def markdown(seeds: range) -> str:
    """Run everything and return the tables as text."""
    return "\n".join(
        [
            "# Acceptance tests on simulated worlds",
            "",
            "Written by `python tests/benchmarks/acceptance.py`. The worlds are invented, by the"
            " authors of the rules, with the expected order known: a regression test, not"
            " validation. Weights were not changed for it.",
            "",
            "## Every check, dispersion 2, whole atlas, two patients lost an antigen",
            "",
            "| test | what | seeds that pass | first failure |",
            "|---|---|---|---|",
            *every_check(seeds),
            "",
            "## By dispersion and healthy atlas",
            "",
            f"| what | dispersion | antigen loss | {' | '.join(ATLASES)} |",
            "|---" * (3 + len(ATLASES)) + "|",
            *by_atlas(seeds),
            "",
        ]
    )


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS
    found = markdown(range(1, number + 1))
    Path(__file__).with_name("acceptance.md").write_text(found, encoding="utf-8")
    print(found)
