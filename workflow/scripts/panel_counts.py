"""Rule panel_counts: the counts of the candidates, cell by cell."""

from targetscore.config import AtlasRow, Indication
from targetscore.contracts import CELLS, DOUBLETS, GENES, PANEL, REMOVED
from targetscore.fetch import from_manifest
from targetscore.genes import load_genes, resolve_panel
from targetscore.io import read_json, read_pieces, read_table, write_tables
from targetscore.logs import log_to
from targetscore.profile.groups import (
    CELL_COLUMNS,
    DOUBLET_COLUMNS,
    GENE_COLUMNS,
    with_doublets,
)
from targetscore.profile.merging import panel_of_packs
from targetscore.provenance import stamp

with log_to(snakemake.log[0]):
    row = AtlasRow.model_validate(snakemake.params.row)
    fetched = from_manifest(read_json(snakemake.input.manifest))
    genes = load_genes(**snakemake.params.genes)
    indications = map(Indication.model_validate, snakemake.params.indications)
    panel = {gene.gene_id for i in indications for gene in resolve_panel(i, genes, i.title)}
    made_of = stamp(snakemake.params.library, row.model_dump(), [fetched.sha256])
    tables = panel_of_packs(
        with_doublets(
            read_pieces(snakemake.input.cells, CELLS, CELL_COLUMNS),
            read_table(snakemake.input.doublets, DOUBLETS, DOUBLET_COLUMNS),
            read_table(snakemake.input.removed, REMOVED, ["row"]),
        ),
        read_table(snakemake.input.genes, GENES, GENE_COLUMNS),
        snakemake.input.packs,
        panel,
    )
    write_tables(tables, snakemake.output.panel, PANEL, made_of)
