"""Rule merge_profile: add up the packs of an atlas per group and gene."""

from targetscore.config import AtlasRow
from targetscore.contracts import EXPRESSION, GENES, GROUPS
from targetscore.fetch import from_manifest
from targetscore.io import read_json, read_table, write_table, write_tables
from targetscore.logs import log_to
from targetscore.profile.groups import GENE_COLUMNS, counted_cells
from targetscore.profile.merging import profile_packs
from targetscore.provenance import stamp

with log_to(snakemake.log[0]):
    read = snakemake.input
    row = AtlasRow.model_validate(snakemake.params.row)
    fetched = from_manifest(read_json(read.manifest))
    made_of = stamp(snakemake.params.library, row.model_dump(), [fetched.sha256])
    profile = profile_packs(
        row.atlas,
        counted_cells(read.cells, read.doublets, read.removed),
        read_table(read.genes, GENES, GENE_COLUMNS),
        read.packs,
        snakemake.threads,
    )
    write_table(profile.groups, snakemake.output.groups, GROUPS, made_of)
    write_tables(profile.expression, snakemake.output.expression, EXPRESSION, made_of)
