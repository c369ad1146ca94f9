"""Inputs as they should not be: each takes a good one and breaks it in one way.

A case is a name, what breaks the input, and what must come out: words of a named error, or a
function that holds the tables against what was put in.
"""

from hostile import geo_text, h5ad_files, h5ad_labels, h5ad_values, tables, tenx

PLACES = {"h5ad": "a.h5ad", "tenx_h5": "a.h5", "tenx_mtx": "mtx", "geo_text": "geo"}
_PARTS = (h5ad_files, h5ad_values, h5ad_labels, tenx, geo_text, tables)
CASES = [case for part in _PARTS for case in part.CASES]
