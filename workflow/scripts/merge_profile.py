"""Rule merge_profile: add up the packs of an atlas per group and gene."""

from targetscore.config import AtlasRow
from targetscore.contracts import CELLS, DOUBLETS, EXPRESSION, GENES, GROUPS, REMOVED
from targetscore.fetch import from_manifest
from targetscore.io import read_json, read_pieces, read_table, write_table, write_tables
from targetscore.logs import log_to
from targetscore.profile.groups import (
    CELL_COLUMNS,
    DOUBLET_COLUMNS,
    GENE_COLUMNS,
    with_doublets,
)
from targetscore.profile.merging import profile_packs
from targetscore.provenance import stamp

with log_to(snakemake.log[0]):
    row = AtlasRow.model_validate(snakemake.params.row)
    fetched = from_manifest(read_json(snakemake.input.manifest))
    made_of = stamp(snakemake.params.library, row.model_dump(), [fetched.sha256])
    profile = profile_packs(
        row.atlas,
        with_doublets(
            read_pieces(snakemake.input.cells, CELLS, CELL_COLUMNS),
            read_table(snakemake.input.doublets, DOUBLETS, DOUBLET_COLUMNS),
            read_table(snakemake.input.removed, REMOVED, ["row"]),
        ),
        read_table(snakemake.input.genes, GENES, GENE_COLUMNS),
        snakemake.input.packs,
        snakemake.threads,
    )
    write_table(profile.groups, snakemake.output.groups, GROUPS, made_of)
    write_tables(profile.expression, snakemake.output.expression, EXPRESSION, made_of)
