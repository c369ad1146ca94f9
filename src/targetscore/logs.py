"""Logging of a workflow job: to its log file and to the terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from targetscore.errors import TargetscoreError

logger = logging.getLogger("targetscore")


@contextmanager
def log_to(path: str) -> Iterator[logging.Logger]:
    """Log a job into its log file; an error the user can act on is printed without traceback.

    Parameters
    ----------
    path
        The rule's log file.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    file = logging.FileHandler(path, mode="w", encoding="utf-8")
    terminal = logging.StreamHandler(sys.stderr)
    for handler in (file, terminal):
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield logger
    except TargetscoreError as error:
        logger.error("%s\n%s", type(error).__name__, error)
        sys.exit(1)
    except Exception:
        logger.exception("this is a defect of targetscore; please report it with this log")
        sys.exit(1)
    finally:
        for handler in (file, terminal):
            logger.removeHandler(handler)
        file.close()
