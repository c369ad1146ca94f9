"""From single-cell atlases to ranked CAR-T target antigens: one report per indication.

Run ``snakemake --cores N``; ``config/README.md`` says what can be configured.
"""

from snakemake.utils import min_version

min_version("9.25")


configfile: "config/config.yaml"


# Satisfies the linter and is ignored unless containers are asked for (--sdm apptainer);
# the environment is the one that requirements.lock pins.
container: "docker://python:3.11-slim"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/fetch.smk"
include: "workflow/rules/ingest.smk"
include: "workflow/rules/profile.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        reports=expand(
            "<results>/report/{indication}.html", indication=sorted(RUN.indications)
        ),
        index="<results>/report/index.html",
        rankings=expand(
            "<results>/score/{indication}/ranking.tsv",
            indication=sorted(RUN.indications),
        ),
        panels=panel_files,
