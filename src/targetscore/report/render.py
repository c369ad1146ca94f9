"""Put the sections together into one file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from targetscore.contracts import COMPONENTS, INTERVAL_CAVEATS, RANKING
from targetscore.io import tsv_text
from targetscore.report import bodymap, dossier, figures, gaps, levels, standing, text, views
from targetscore.report.data import IndexEntry, ReportData

SIMULATED = "SIMULATED DATA — invented cells, not evidence about patients"
CONTROLS = {
    "toxic_control": "control: known toxic",
    "nonsurface_control": "control: not on the surface",
}
"""What an antigen that a panel holds for comparison only is called; roles of antigens.tsv."""
_CAVEATS = dict(zip(("healthy", "coverage"), INTERVAL_CAVEATS, strict=True))
_TEMPLATES = Path(__file__).parent / "templates"
_MEANINGS = {
    c.name: re.sub(r" \((C\d|f_T)\)", "", c.meaning)
    for c in (*COMPONENTS.columns, *RANKING.columns)
}


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        n=text.number,
        t=text.isolate,
        w=text.words,
        verdict=text.verdict,
        grade=text.grade,
        source=text.source,
        status=text.status,
    )
    environment.globals.update(
        interval=text.interval,
        bar=figures.bar,
        step=figures.step,
        radius=figures.radius,
        mark=views.mark,
        blind_mark=views.blind_mark,
        counted=text.count_words,
        named=text.named,
        brief=text.brief,
        other_names=text.other_names,
    )
    return environment


def _asset(name: str) -> Markup:
    return Markup((_TEMPLATES / name).read_text(encoding="utf-8"))


def _hash(source: str) -> str:
    digest = hashlib.sha256(source.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def policy(style: str, script: str) -> str:
    """Return the content security policy: this style, this script and nothing else."""
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def embedded(tables: Mapping[str, pd.DataFrame]) -> Markup:
    """Return tables as JSON of their columns, deflated and in base64: a third of the bytes.

    Put together again, line by line with tabs, a table is what
    :func:`targetscore.io.write_tsv` writes, byte by byte.
    """
    columns = {name: _columns(tsv_text(table)) for name, table in tables.items()}
    packed = zlib.compress(json.dumps(columns, ensure_ascii=False).encode(), 9)
    return Markup(base64.b64encode(packed).decode())


def _columns(text: str) -> list[str]:
    """Turn a TSV by its columns, which deflate better; one column if a value breaks a line."""
    lines = text.removesuffix("\n").split("\n")
    cells = [line.split("\t") for line in lines]
    if len({len(line) for line in cells}) > 1:
        return ["\n".join(lines)]
    return ["\n".join(column) for column in zip(*cells, strict=True)]


def _page(template: str, **context: Any) -> str:
    style, script = _asset("report.css"), _asset("report.js")
    return (
        _environment()
        .get_template(template)
        .render(
            style=style,
            script=script,
            policy=policy(style, script),
            simulated_text=SIMULATED,
            **context,
        )
    )


def render_report(data: ReportData) -> str:
    """Render the report of one indication.

    Parameters
    ----------
    data
        What score wrote, with the curated tables and the summaries of the atlases.

    Returns
    -------
    str
        One HTML file that makes no request; the same data gives the same text.
    """
    drawn = views.antigens(data)
    shown = drawn[: views.MAX_DETAILED]
    ids = {a.gene_id for a in shown}
    tables = {
        "ranking": data.ranking,
        "components": data.components,
        **{
            name: views.of_antigens(getattr(data, name), drawn)
            for name in (
                "evidence",
                "toxicity",
                "coverage",
                "shedding",
                "robustness",
                "outranks",
            )
        },
    }
    if len(data.levels):
        tables["levels"] = views.of_antigens(data.levels, drawn)
    others = tables["outranks"]["other_gene_id"].isin([a.gene_id for a in drawn])
    tables["outranks"] = tables["outranks"][others]
    all_drawn = text.records(tables["evidence"])
    evidence = [r for r in all_drawn if r["gene_id"] in ids]
    classes = views.toxicity(tables["toxicity"], evidence)
    order = data.ranking.sort_values(["rank", "antigen"], kind="stable", na_position="last")
    rows = text.records(order)
    ranked = [r for r in rows if r["rank"] is not None]
    said = gaps.summary(ranked, all_drawn)
    pairs = standing.neighbours(ranked, data.outranks)
    analyses = standing.other_analyses(tables["robustness"], shown)
    window = views.window(ranked, shown, said["worst"])
    dossiers = [dossier.dossier(data, a, shown, evidence, classes) for a in shown]
    organs = bodymap.organs(evidence, shown)
    return _page(
        "report.html",
        data=data,
        simulated=data.simulated,
        shown=shown,
        drawn=drawn,
        slug={a.gene_id: a.slug for a in shown},
        controls=_controls(data.knowledge.antigens),
        by_id={a.gene_id: a for a in drawn},
        organs=organs,
        body_svg=bodymap.body(organs, shown[0]) if shown else None,
        map_letters=bodymap.LETTERS,
        ranked=ranked,
        said=said,
        by_rank={r["gene_id"]: r for r in rows},
        beside={r["gene_id"]: None for r in ranked} | {p.first["gene_id"]: p for p in pairs},
        close=[p for p in pairs if p.standing in ("level", "reversed")],
        n_top=standing.TOP,
        limits={"apart": standing.APART, "likely": standing.LIKELY},
        analyses=analyses,
        firm=standing.with_rank(analyses, shown),
        window=window,
        window_svg=views.window_svg(window),
        caveats=_CAVEATS,
        clones=[(a["atlas"], c) for a in data.atlases for c in a.get("clones", ())],
        log10_burden=math.log10(data.scoring.burden),
        unranked=[r for r in rows if r["rank"] is None],
        max_listed=views.MAX_LISTED,
        n_rows=len(data.knowledge.tissue_tiers),
        meanings=_MEANINGS,
        parts=dossier.PARTS,
        colours=figures.colour_words(),
        healthy=views.healthy(all_drawn),
        tissues=gaps.measured_tissues(evidence),
        classes=classes,
        gaps=gaps.gaps(evidence, shown),
        gap_verdicts=text.GAPS,
        verdicts=text.VERDICT_WORDS,
        patients=views.patients(tables["coverage"], shown, data.scoring.escape_fraction),
        dossiers=dossiers,
        lowest=figures.decade([d["composite"]["product"] for d in dossiers]),
        parameters=_flat(data.scoring.model_dump()),
        tables=embedded(tables),
        levels=levels.levels(data.levels, [a.gene_id for a in shown]),
        tiers=text.records(data.knowledge.tiers),
        table_sizes={name: len(table) for name, table in tables.items()},
    )


def _controls(antigens: pd.DataFrame) -> dict[str, str]:
    held = zip(antigens["symbol"], antigens["role"], strict=True)
    return {symbol: CONTROLS[role] for symbol, role in held if role in CONTROLS}


def _flat(values: Mapping[str, Any], before: str = "") -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{before}{name}: ")
        else:
            found.append((f"{before}{name}", value))
    return found


def render_index(entries: Sequence[IndexEntry]) -> str:
    """Render the list of reports; each links to ``<name>.html`` beside it.

    Parameters
    ----------
    entries
        One per report, in the order shown.

    Returns
    -------
    str
        One HTML file that makes no request.
    """
    rows = []
    for entry in entries:
        order = entry.ranking.sort_values(["rank", "antigen"], kind="stable", na_position="last")
        ranked = [r for r in text.records(order) if r["rank"] is not None]
        rows.append(
            {
                "entry": entry,
                "ranked": ranked,
                "slugs": views.antigen_slugs(order),
                "n": len(order),
            }
        )
    return _page("index.html", rows=rows, simulated=any(e.simulated for e in entries))
