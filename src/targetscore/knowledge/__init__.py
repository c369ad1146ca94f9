"""The curated facts of ``config/knowledge``: descriptions, checks and the only reader."""

from targetscore.knowledge.load import Knowledge, knowledge_files, load_knowledge
from targetscore.knowledge.tables import TABLES

__all__ = ["TABLES", "Knowledge", "knowledge_files", "load_knowledge"]
