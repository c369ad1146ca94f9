"""Draw what was scored: one offline HTML page per indication, and an index.

Files expected: results/score/{indication}/, results/ingest/{atlas}/{summary,samples}.json and
results/fetch/{atlas}/manifest.json. Files produced: results/report/.
"""


rule render_report:
    input:
        evidence="<results>/score/{indication}/evidence.parquet",
        toxicity="<results>/score/{indication}/toxicity.parquet",
        coverage="<results>/score/{indication}/coverage.parquet",
        shedding="<results>/score/{indication}/shedding.parquet",
        components="<results>/score/{indication}/components.parquet",
        ranking="<results>/score/{indication}/ranking.parquet",
        robustness="<results>/score/{indication}/robustness.parquet",
        outranks="<results>/score/{indication}/outranks.parquet",
        summaries=indication_summaries,
        samples=indication_samples,
        manifests=indication_manifests,
        levels="<results>/score/{indication}/levels.parquet",
        references=lambda wildcards: reference_files(
            wildcards, "<results>/ingest/{reference}/summary.json"
        ),
        reference_manifests=lambda wildcards: reference_files(
            wildcards, "<results>/fetch/{reference}/manifest.json"
        ),
        knowledge=curated_files,
    output:
        report=report(
            "<results>/report/{indication}.html",
            caption="../report/indication.rst",
            category="Reports",
            labels={"indication": "{indication}"},
        ),
    log:
        "<logs>/render_report/{indication}.log",
    benchmark:
        "<benchmarks>/render_report/{indication}.jsonl"
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        indication=indication_settings,
        knowledge=RUN.config.knowledge,
        scoring=scoring_settings,
        digest=run_digest,
        library=code_fingerprint("targetscore.report", "targetscore.knowledge"),
        code=code_fingerprint("targetscore"),
    script:
        "../scripts/render_report.py"


rule render_index:
    input:
        rankings=expand(
            "<results>/score/{indication}/ranking.parquet",
            indication=sorted(RUN.indications),
        ),
        reports=expand(
            "<results>/report/{indication}.html", indication=sorted(RUN.indications)
        ),
    output:
        index=report(
            "<results>/report/index.html",
            caption="../report/index.rst",
            category="Reports",
            labels={"indication": "all: index"},
        ),
    log:
        "<logs>/render_index.log",
    benchmark:
        "<benchmarks>/render_index.jsonl"
    resources:
        mem_mb=500,
        runtime=10,
    params:
        titles={name: RUN.indications[name].title for name in sorted(RUN.indications)},
        library=code_fingerprint("targetscore.report"),
    script:
        "../scripts/render_index.py"
