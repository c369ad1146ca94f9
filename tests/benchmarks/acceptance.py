"""The acceptance tests on many worlds: ``python tests/benchmarks/acceptance.py [seeds]``.

Writes acceptance.md beside this file: every check on ten seeds, in the specification's own
simulation and in the demonstration's world; the order of the antigens with one difference
between the two at a time; and the checks whose answer may differ with the atlas on three
dispersions and three healthy atlases. Nothing is tuned to it; a rate below ten stays as it is.
"""

import sys
import tempfile
from collections import Counter
from pathlib import Path

from acceptance_checks import BY_ATLAS, BY_DEPARTURE, CHECKS, Case
from worlds import ATLASES, DEMONSTRATION, DEPARTURES, PLAIN

DISPERSIONS = (0.7, 2.0, 6.0)
SEEDS = 10
SETTINGS = {"specification": PLAIN, "demonstration": DEMONSTRATION}
WHY = (
    "- Order of the antigens (5, C8). An expressing cell of the demonstration holds 0.58 UMI of"
    " GPRC5D, hardly more than the 0.5 below which C1 takes the observed fraction (about 0.32) as"
    " a lower bound instead of the corrected one (truth 0.80). Donors who differ put some patients"
    " below it, and one has lost the antigen: coverage is then 0.4 where the specification's"
    " simulation has 0.85, and the composite falls to that of SLAMF7. No departure alone does it"
    " at dispersion 2. The rule and the threshold are the specification's: they cost antigens with"
    " little RNA in shallow cells.",
    "- NK cells and pDC of CD38 (6). By truth half of the NK cells and 40 % of the pDC express it"
    " at 1.2 UMI per 10,000: at 2,000 UMI, where healthy cells are looked at, 10 % and 8 % show"
    " it, and the alerts of their tiers are 10 % and 20 %. Healthy fractions are not corrected"
    " for dropout (C1). The verdict is then `possible`, not `clear`, as the literature reports"
    " them, and harm also counts the CPM.",
    "- Half the counts (14). Where an antigen is identifiable only in some patients, those left"
    " at half the counts are the ones whose level came out too high and whose fraction came out"
    " too low: the same figure decides both. With one patient left the mean moves by more than"
    " 0.1, or one positive cell more or less decides. Antigens identifiable in all patients, of"
    " whom the specification speaks, stay within 0.1; in the demonstration's cells there is often"
    " no such antigen at half the counts.",
    "- CD19 of B cells in lupus (16). An expressing B cell holds 0.2 UMI in the demonstration (a"
    " lower bound, said so) and 0.6 at 4,000 UMI, near enough to 0.5 that a quarter of the"
    " patients still give lower bounds. The order of the two lineages is right.",
    "- SLAMF7 among the first two in coverage (5). Truths of 0.97, 0.90 and 0.85 lie closer than"
    " eight patients can tell apart.",
    "- One donor ten times (13). Ten copies of a donor's cells weigh more in the posterior of a"
    " healthy group than one copy. Holding such a donor back mends it, but takes the concern off"
    " CD33 in promonocytes of real marrow, where one donor holds most cells: cells in which an"
    " antigen is seen are not given up.",
    "- CLEC12A clear in stem cells (15) cannot be tried: of the simulated stem and progenitor"
    " cells 8 % carry it by truth. The test asks that it be the lowest of the four there.",
)
TITLES = {check: title for _, title, check in CHECKS}


def every_check(seeds: range) -> list[str]:
    """Return a row per check: seeds that pass in both settings, and what first fails."""
    passed, failing = Counter(), {}
    for name, setting in SETTINGS.items():
        for seed in seeds:
            with tempfile.TemporaryDirectory() as folder:
                case = Case(setting.add_up(seed), setting.add_up(seed, thin=0.5), Path(folder))
                for place, (_, _, check) in enumerate(CHECKS):
                    ok, figure = check(case)
                    passed[name, place] += ok
                    if not ok:
                        failing.setdefault((name, place), f"{name}, seed {seed}: {figure}")
    return [
        f"| {number} | {title} | "
        + " | ".join(f"{passed[name, place]}/{len(seeds)}" for name in SETTINGS)
        + f" | {'; '.join(failing[n, place] for n in SETTINGS if (n, place) in failing)} |"
        for place, (number, title, _) in enumerate(CHECKS)
    ]


def by_departure(seeds: range) -> list[str]:
    """Return a row per setting: seeds that pass the checks that fail in the demonstration."""
    rows = []
    for name, setting in DEPARTURES.items():
        passed: Counter = Counter()
        for seed in seeds:
            with tempfile.TemporaryDirectory() as folder:
                case = Case(setting.add_up(seed), setting.add_up(seed, thin=0.5), Path(folder))
                for check in BY_DEPARTURE:
                    passed[check] += check(case)[0]
        counts = " | ".join(f"{passed[check]}/{len(seeds)}" for check in BY_DEPARTURE)
        rows.append(f"| {name} | {counts} |")
    return rows


def by_atlas(seeds: range) -> list[str]:
    """Return a row per check, dispersion and setting: seeds that pass, by atlas."""
    passed: Counter = Counter()
    for dispersion in DISPERSIONS:
        for name, setting in SETTINGS.items():
            for seed in seeds:
                with tempfile.TemporaryDirectory() as folder:
                    case = Case(setting.add_up(seed, dispersion), None, Path(folder))
                    for check in BY_ATLAS:
                        for atlas in ATLASES:
                            passed[check, dispersion, name, atlas] += check(case, atlas)[0]
    return [
        f"| {TITLES[check]} | {dispersion:g} | {name} | "
        + " | ".join(f"{passed[check, dispersion, name, a]}/{len(seeds)}" for a in ATLASES)
        + " |"
        for check in BY_ATLAS
        for dispersion in DISPERSIONS
        for name in SETTINGS
    ]


def _head(*names: str) -> list[str]:
    return [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]


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
            "Specification: the simulation of its section C8, with the truth as given, 8 patients,"
            " 5 healthy donors, 4,000 UMI in every kind of cell (masked genes left out; the"
            " specification does not state it, its reference vectors have 3,000 to 5,000)."
            " Demonstration: the world of the embedded demo, which adds differences between"
            " donors, free RNA, doublets, two patients who lost an antigen, and cells with as few"
            " as 1,000 UMI.",
            "",
            "## Every check, dispersion 2, whole atlas",
            "",
            *_head("test", "what", *SETTINGS, "first failure"),
            *every_check(seeds),
            "",
            "## One departure at a time",
            "",
            "Dispersion 2, whole atlas: what of the demonstration makes which check fail.",
            "",
            *_head("the specification's simulation and", *(TITLES[c] for c in BY_DEPARTURE)),
            *by_departure(seeds),
            "",
            "## Why checks fail",
            "",
            *WHY,
            "",
            "## By dispersion and healthy atlas",
            "",
            *_head("what", "dispersion", "world", *ATLASES),
            *by_atlas(seeds),
            "",
        ]
    )


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS
    found = markdown(range(1, number + 1))
    Path(__file__).with_name("acceptance.md").write_text(found, encoding="utf-8")
    print(found)
