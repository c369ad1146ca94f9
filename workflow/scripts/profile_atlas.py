"""Rule profile_atlas: sum the raw counts per group and gene."""

from pathlib import Path

from targetscore.config import AtlasRow
from targetscore.contracts import CELLS, EXPRESSION, GENES, GROUPS
from targetscore.fetch import from_manifest
from targetscore.formats import open_atlas
from targetscore.io import read_json, read_table, scratch_folder, write_table, write_tables
from targetscore.logs import log_to
from targetscore.profile import profile_cells
from targetscore.provenance import stamp

with log_to(snakemake.log[0]):
    row = AtlasRow.model_validate(snakemake.params.row)
    fetched = from_manifest(read_json(snakemake.input.manifest))
    cells = read_table(snakemake.input.cells, CELLS)
    genes = read_table(snakemake.input.genes, GENES)
    made_of = stamp(snakemake.params.library, row.model_dump(), [fetched.sha256])
    blocks = open_atlas(row, fetched.location).blocks()
    with scratch_folder(Path(snakemake.output.groups).parent) as workspace:
        profile = profile_cells(row.atlas, cells, genes, blocks, workspace)
        write_table(profile.groups, snakemake.output.groups, GROUPS, made_of)
        write_tables(profile.expression, snakemake.output.expression, EXPRESSION, made_of)
