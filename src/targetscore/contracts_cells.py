"""Stage files of ingest about the quality of single cells; see :mod:`targetscore.contracts`."""

from __future__ import annotations

from targetscore.contract import Column, Contract, count, fraction, text

QUALITY = Contract(
    "ingest/quality",
    (
        Column("row", "int", "row of the cell in cells.parquet and in the matrix", low=0),
        count("n_counts", "UMI counts of the cell"),
        count("n_genes", "genes with at least one count"),
        fraction(
            "mitochondrial_share",
            "share of its counts on mitochondrial genes; NA if the atlas measures none",
        ),
        text(
            "outlier",
            "what lies far above the median of the sample (counts, genes, mitochondrial), '; ' "
            "between them; such cells stay; NA if nothing does",
            True,
        ),
        text(
            "foreign_programme",
            "lineage whose genes the cell makes under a label of another lineage, '; ' between "
            "several; none; not_assessed where label or genes do not allow to say",
        ),
    ),
    key=("row",),
)

REMOVED = Contract(
    "ingest/removed",
    (
        Column("row", "int", "row of the cell in cells.parquet and in the matrix", low=0),
        Column("cell", "string", "barcode"),
        text("reason", "why the cell is not counted"),
        text("detail", "the value that led to it, and the limit"),
    ),
    key=("row",),
)

CONTAMINATION = Contract(
    "ingest/contamination",
    (
        text("population", "population of the group of cells"),
        text("tissue_id", "UBERON id, or label:<text>"),
        text("tissue", "tissue name"),
        text("cell_type_id", "Cell Ontology id of the label the cells carry"),
        text("cell_type", "cell type name"),
        text("programme", "lineage whose programme some of them show"),
        text("gene_id", "gene seen in a flagged cell"),
        count("n_cells", "cells of the group that pass the limits of genes and UMI"),
        count("n_flagged", "of these, cells that show the programme"),
        count("n_detected", "cells of the group with at least one count of the gene"),
        count("n_flagged_detected", "of these, cells that show the programme"),
    ),
    key=("population", "tissue_id", "cell_type_id", "programme", "gene_id"),
)
