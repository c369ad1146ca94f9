"""Draw what score wrote as one offline HTML page per indication; compute no science."""

from targetscore.report.data import IndexEntry, ReportData
from targetscore.report.render import render_index, render_report

__all__ = ["IndexEntry", "ReportData", "render_index", "render_report"]
