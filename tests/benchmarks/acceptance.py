"""The acceptance tests on many worlds: ``python tests/benchmarks/acceptance.py [seeds]``.

Writes acceptance.md beside this file: every check on ten seeds, in the specification's own
simulation and in the demonstration's world; the order of the antigens with one difference
between the two at a time; and the checks whose answer may differ with the atlas on three
dispersions and three healthy atlases. It is written anew after each seed: stopped early, it says
how many there were. Nothing is tuned to it; a rate below ten stays as it is.
"""

import sys
import tempfile
from collections import Counter
from pathlib import Path

from acceptance_checks import BY_ATLAS, BY_DEPARTURE, CHECKS, Case, Check
from worlds import ATLASES, DEMONSTRATION, DEPARTURES, PLAIN

DISPERSIONS = (0.7, 2.0, 6.0)
DRAWN = 2.0  # that of the worlds every check is tried on
SEEDS = 10
SETTINGS = {"specification": PLAIN, "demonstration": DEMONSTRATION}
WHY = (
    "- Order of the antigens (5, C8). An expressing cell of the demonstration holds 0.58 UMI"
    " of GPRC5D, hardly more than the 0.5 below which C1 takes the observed fraction (about"
    " 0.3) as a lower bound instead of the corrected one (truth 0.80). Three to five of eight"
    " patients fall below it (seeds 1 to 3), and one has lost the antigen: coverage is then"
    " 0.39 to 0.47 where the specification's simulation has 0.85 to 0.90, and in some seeds"
    " the composite falls below that of SLAMF7. No departure alone does it at dispersion 2. It"
    " happens at dispersions 0.7 and 6 too, more often the more even RNA is. The rule and the"
    " threshold are the specification's: they cost antigens with little RNA in shallow cells.",
    "- NK cells and pDC of CD38 (6). By truth half of the NK cells and 40 % of the pDC"
    " express it at 1.2 UMI per 10,000: at 2,000 UMI, where healthy cells are looked at, 10 %"
    " and 8 % show it, and the alerts of their tiers are 10 % and 20 %. Healthy fractions are"
    " not corrected for dropout (C1). NK cells are then `possible` or, in some seeds,"
    " `concern`, pDC `possible`: never `clear`, as the literature reports both, and harm also"
    " counts the CPM.",
    "- Half the counts (14). Where an antigen is identifiable only in some patients, those"
    " left at half the counts tend to be the ones whose level came out too high and whose"
    " fraction came out too low: the same figure decides both. Where one patient is left the"
    " mean can move by more than 0.1 (FCRL5), or the same three cells of 700 are seen before"
    " and after, so that the raw fraction does not fall (CD19). Antigens identifiable in all"
    " patients, of whom the specification speaks, stay within 0.1; in the demonstration's"
    " cells there is often no such antigen at half the counts.",
    "- CD19 of B cells in lupus (16). An expressing B cell holds 0.2 UMI in the demonstration"
    " (a lower bound, said so) and 0.6 at 4,000 UMI, near enough to 0.5 that two or three of"
    " eight patients still give lower bounds. The order of the two lineages is right, but for"
    " one seed of the demonstration (10: 0.09 and 0.10).",
    "- SLAMF7 among the first two in coverage (5). The truths of SDC1, SLAMF7, BCMA and CD38"
    " are 0.97, 0.90, 0.85 and 0.85: closer than eight patients can always tell apart.",
    "- One donor ten times (13). With donors who differ, or with free RNA, ten copies of a"
    " healthy donor's cells weigh more in the posterior of a group than one copy (safety of"
    " CD19 in seed 7: 0.749 and 0.721). Holding such a donor back mends it, but takes the"
    " concern off CD33 in promonocytes of real marrow, where one donor holds most cells: cells"
    " in which an antigen is seen are not given up.",
    "- CLEC12A clear in stem cells (15) cannot be tried: of the simulated stem and progenitor"
    " cells 8 % carry it by truth. The test asks that it be the lowest of the four there.",
)
TITLES = {check: title for _, title, check in CHECKS}


class Found:
    """Which checks passed in which world, seed by seed; a world is drawn once per seed."""

    def __init__(self) -> None:
        self.passed: Counter[tuple[object, ...]] = Counter()
        self.first: dict[tuple[str, Check], str] = {}
        self.seeds: list[int] = []

    def add(self, seed: int) -> None:
        """Try every check on the worlds of one more seed."""
        with tempfile.TemporaryDirectory() as folder:
            thinned = {
                setting: Case(
                    setting.add_up(seed),
                    setting.add_up(seed, thin=0.5),
                    Path(tempfile.mkdtemp(dir=folder)),
                )
                for setting in DEPARTURES.values()
            }
            for name, setting in SETTINGS.items():
                for _, _, check in CHECKS:
                    ok, figure = check(thinned[setting])
                    self.passed["check", name, check] += ok
                    if not ok:
                        self.first.setdefault((name, check), f"{name}, seed {seed}: {figure}")
            for name, setting in DEPARTURES.items():
                for check in BY_DEPARTURE:
                    self.passed["departure", name, check] += check(thinned[setting])[0]
            for dispersion in DISPERSIONS:
                for name, setting in SETTINGS.items():
                    case = thinned[setting]
                    if dispersion != DRAWN:
                        own = Path(tempfile.mkdtemp(dir=folder))
                        case = Case(setting.add_up(seed, dispersion), None, own)
                    for check in BY_ATLAS:
                        for atlas in ATLASES:
                            ok = check(case, atlas)[0]
                            self.passed["atlas", name, check, dispersion, atlas] += ok
        self.seeds.append(seed)

    def rate(self, *key: object) -> str:
        """Return how many of the seeds passed."""
        return f"{self.passed[key]}/{len(self.seeds)}"


def every_check(found: Found) -> list[str]:
    """Return a row per check: seeds that pass in both settings, and what first fails."""
    return [
        f"| {number} | {title} | "
        + " | ".join(found.rate("check", name, check) for name in SETTINGS)
        + f" | {'; '.join(found.first[n, check] for n in SETTINGS if (n, check) in found.first)} |"
        for number, title, check in CHECKS
    ]


def by_departure(found: Found) -> list[str]:
    """Return a row per setting: seeds that pass the checks that fail in the demonstration."""
    return [
        f"| {name} | "
        + " | ".join(found.rate("departure", name, check) for check in BY_DEPARTURE)
        + " |"
        for name in DEPARTURES
    ]


def by_atlas(found: Found) -> list[str]:
    """Return a row per check, dispersion and setting: seeds that pass, by atlas."""
    return [
        f"| {TITLES[check]} | {dispersion:g} | {name} | "
        + " | ".join(found.rate("atlas", name, check, dispersion, a) for a in ATLASES)
        + " |"
        for check in BY_ATLAS
        for dispersion in DISPERSIONS
        for name in SETTINGS
    ]


def _head(*names: str) -> list[str]:
    return [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]


def markdown(found: Found) -> str:
    """Return the tables as text."""
    return "\n".join(
        [
            "# Acceptance tests on simulated worlds",
            "",
            "Written by `python tests/benchmarks/acceptance.py`. The worlds are invented, by the"
            " authors of the rules, with the expected order known: a regression test, not"
            " validation. Weights were not changed for it.",
            "",
            f"Seeds {found.seeds[0]} to {found.seeds[-1]}.",
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
            *every_check(found),
            "",
            "## One departure at a time",
            "",
            "Dispersion 2, whole atlas: what of the demonstration makes which check fail.",
            "",
            *_head("the specification's simulation and", *(TITLES[c] for c in BY_DEPARTURE)),
            *by_departure(found),
            "",
            "## Why checks fail",
            "",
            *WHY,
            "",
            "## By dispersion and healthy atlas",
            "",
            *_head("what", "dispersion", "world", *ATLASES),
            *by_atlas(found),
            "",
        ]
    )


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS
    found = Found()
    for seed in range(1, number + 1):
        found.add(seed)
        Path(__file__).with_name("acceptance.md").write_text(markdown(found), encoding="utf-8")
    print(markdown(found))
