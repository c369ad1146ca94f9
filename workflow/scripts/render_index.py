"""Rule render_index: one page that leads to the reports."""

from targetscore.contracts import RANKING
from targetscore.io import read_table, write_text
from targetscore.logs import log_to
from targetscore.report import IndexEntry, render_index

with log_to(snakemake.log[0]):
    titles = snakemake.params.titles.items()
    entries = [
        IndexEntry(name, title, read_table(path, RANKING))
        for (name, title), path in zip(titles, snakemake.input.rankings, strict=True)
    ]
    write_text(render_index(entries), snakemake.output.index)
