"""Rule panel_counts: the counts of the candidates, cell by cell."""

from targetscore.config import AtlasRow, Indication
from targetscore.contracts import GENES, PANEL
from targetscore.fetch import from_manifest
from targetscore.genes import load_genes, resolve_panel
from targetscore.io import read_json, read_table, write_tables
from targetscore.logs import log_to
from targetscore.profile.groups import GENE_COLUMNS, counted_cells
from targetscore.profile.merging import panel_of_packs
from targetscore.provenance import stamp

with log_to(snakemake.log[0]):
    read = snakemake.input
    row = AtlasRow.model_validate(snakemake.params.row)
    fetched = from_manifest(read_json(read.manifest))
    genes = load_genes(**snakemake.params.genes)
    indications = map(Indication.model_validate, snakemake.params.indications)
    panel = {gene.gene_id for i in indications for gene in resolve_panel(i, genes, i.title)}
    made_of = stamp(snakemake.params.library, row.model_dump(), [fetched.sha256])
    tables = panel_of_packs(
        counted_cells(read.cells, read.doublets, read.removed),
        read_table(read.genes, GENES, GENE_COLUMNS),
        read.packs,
        panel,
    )
    write_tables(tables, snakemake.output.panel, PANEL, made_of)
