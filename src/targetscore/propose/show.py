"""What ``targetscore add-atlas`` shows of an atlas before it is written down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from targetscore import ontology
from targetscore.config import AtlasRow, RunConfig
from targetscore.errors import listed, plain
from targetscore.ingest import Ingested
from targetscore.knowledge import load_knowledge
from targetscore.propose.labels import Label, unmapped
from targetscore.propose.look import Found
from targetscore.propose.row import Draft, choices_text

__all__ = ["found_text", "labels_text", "preview_text", "row_text"]

_SHOWN = 12


def found_text(
    path: str, found: Found, table: pd.DataFrame, config: RunConfig, drafted: Draft
) -> list[str]:
    """Return what was found in a file: matrices, genes, columns."""
    n_cells, n_genes = found.atlas.shape
    lines = [f"{plain(path)}: {found.format}, {n_cells:,} cells × {n_genes:,} genes"]
    verdicts = [f"{plain(place, 60)}: {verdict}" for place, verdict in found.matrices]
    lines.append(f"raw counts in {plain(found.atlas.counts, 60)}")
    lines += [f"  {v}" for v in verdicts if len(verdicts) > 1]
    how = table["resolution"].value_counts().sort_index()
    resolved = int(how.sum() - how.get("unresolved", 0) - how.get("ambiguous", 0))
    shown = ", ".join(f"{str(k).replace('_', ' ')} {n:,}" for k, n in how.items())
    lines.append(f"genes resolved: {resolved:,} of {len(table):,} ({shown})")
    antigens = load_knowledge(config.knowledge).antigens
    wanted = antigens.loc[antigens["rna_scorable"] == "yes", "symbol"]
    absent = [s for s in wanted if s not in set(table["symbol"])]
    of = f"{len(wanted) - len(absent)} of {len(wanted)} curated antigens measured"
    lines.append(f"  {of}" + (f"; not measured: {listed(absent)}" if absent else ""))
    return [*lines, "columns:", *choices_text(drafted.choices, drafted.fields)]


def labels_text(labels: list[Label]) -> list[str]:
    """Return which cell type labels are terms, and which are left."""
    left = unmapped(labels)
    n_cells = sum(label.n_cells for label in labels)
    mapped = n_cells - sum(label.n_cells for label in left)
    lines = [
        f"cell types: {len(labels) - len(left):,} of {len(labels):,} labels are Cell Ontology "
        f"terms ({mapped:,} of {n_cells:,} cells)"
    ]
    lines += [f"  not mapped: {label}" for label in left[:_SHOWN]]
    if left:
        lines.append("  say which with --label LABEL=TERM, or later in the label map")
    if len(left) > _SHOWN:
        lines.append(f"  not mapped: {len(left) - _SHOWN:,} more, listed in the label map")
    return lines


def row_text(fields: Mapping[str, str]) -> list[str]:
    """Return the row, a field per line."""
    shown = [k for k in AtlasRow.model_fields if fields.get(k)]
    return ["row:", *(f"  {k:<11} {plain(fields[k])}" for k in shown)]


def preview_text(found: Ingested) -> list[str]:
    """Return what a run would make of the atlas."""
    summary, cells = found.summary, found.cells
    lines = [
        f"cells kept: {summary['n_cells_kept']:,} of {summary['n_cells']:,}, of "
        f"{cells['donor'].nunique():,} donor(s) and {cells['sample'].nunique():,} sample(s)"
    ]
    if summary["rejected"]:
        lines.append(f"  rejected: {_pairs(summary['rejected'])}")
    for name, part in summary["populations"].items():
        lines.append(f"  {name}: {part['n_cells']:,} cells of {part['n_donors']:,} donor(s)")
    unknown = cells.loc[cells["tissue_id"].str.startswith("label:"), "tissue"].value_counts()
    for tissue, n in unknown.items():
        near = listed(ontology.suggest(str(tissue), "UBERON"))
        looks = f"looks like {near}" if near else "nothing looks like it"
        lines.append(f"  tissue not in UBERON: {plain(tissue, 60)} ({n:,} cells; {looks})")
    types = cells.groupby("cell_type", observed=True).agg(
        n=("cell", "size"), d=("donor", "nunique")
    )
    types = types.sort_index().sort_values("n", ascending=False, kind="stable")
    shown = [f"{plain(k, 60)} ({r.n:,}, {r.d:,})" for k, r in types[:_SHOWN].iterrows()]
    rest = f"; {len(types) - _SHOWN:,} more" if len(types) > _SHOWN else ""
    return [*lines, f"  cell types (cells, donors) {'; '.join(shown)}{rest}"]


def _pairs(counts: Mapping[str, Any]) -> str:
    return ", ".join(f"{k} {v:,}" for k, v in counts.items())
