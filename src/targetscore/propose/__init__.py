"""Bring your own: look at a file, propose its registry row or an indication, and write it."""
