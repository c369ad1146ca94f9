"""Run a contestant as a process of its own and measure it from outside. Linux only.

This process must stay smaller than any contestant: a child inherits the peak memory of the
process it was started from. It therefore imports the standard library only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from engine_job import Job

HERE = Path(__file__).parent
_TICK = 0.02
_SHARE = 0.9  # of the memory that is available before a contestant is stopped


@dataclass(frozen=True)
class Run:
    """What one run took.

    Attributes
    ----------
    wall, cpu
        Seconds of the whole process, and of all its threads, system time included.
    peak
        Largest resident memory, bytes.
    others
        Cores that other programs of the machine kept busy meanwhile.
    limit
        Memory at which it was stopped, bytes; None if it came to its end.
    facts
        What it said of itself; ``missing`` names a package that is not installed.
    """

    wall: float
    cpu: float
    peak: int
    others: float
    limit: int | None
    facts: dict[str, float | str]

    @property
    def finished(self) -> bool:
        """Whether there is a result."""
        return self.limit is None and "missing" not in self.facts


def run_way(script: str, way: str, job: Job, packages: Path | None = None) -> Run:
    """Run a way of a script; stop it before it takes the memory of the machine.

    Parameters
    ----------
    script, way, job
        What to run.
    packages
        Folder with further packages it may import.

    Raises
    ------
    RuntimeError
        If it fails; the message holds what it printed.
    """
    os.sync()
    limit = int(_SHARE * _memory("MemAvailable"))
    words = [sys.executable, str(HERE / script), way, json.dumps(asdict(job))]
    environment = os.environ | ({"PYTHONPATH": str(packages)} if packages else {})
    stopped = False
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        busy, begin = _busy(), time.monotonic()
        child = subprocess.Popen(words, stdout=out, stderr=err, env=environment)
        done, status, used = os.wait4(child.pid, os.WNOHANG)
        while not done:
            if not stopped and _resident(child.pid) > limit:
                child.kill()
                stopped = True
            time.sleep(_TICK)
            done, status, used = os.wait4(child.pid, os.WNOHANG)
        wall = time.monotonic() - begin
        child.returncode = os.waitstatus_to_exitcode(status)
        cpu = used.ru_utime + used.ru_stime
        others = max(0.0, (_busy() - busy - cpu) / wall)
        for stream in (out, err):
            stream.seek(0)
        if child.returncode and not stopped:
            raise RuntimeError(f"{script} {way} failed ({child.returncode}): {err.read()[-3000:]}")
        facts = {} if stopped else json.loads(out.read().splitlines()[-1])
    return Run(wall, cpu, used.ru_maxrss * 1024, others, limit if stopped else None, facts)


def machine() -> dict[str, object]:
    """Return the model of the processor, the cores that may be used, and the memory, bytes."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    model = names[0] if names else os.uname().machine
    return {"processor": model, "cores": cores(), "memory": _memory("MemTotal")}


def cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _memory(name: str) -> int:
    for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"the system does not tell its memory ({name})")


def _resident(process: int) -> int:
    try:
        pages = Path(f"/proc/{process}/statm").read_text(encoding="utf-8").split()[1]
    except OSError:  # it has just ended
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _busy() -> float:
    """Return the seconds that all cores have worked for anybody, since the machine started."""
    line = Path("/proc/stat").read_text(encoding="utf-8").split("\n", 1)[0]
    user, nice, system, _, _, irq, softirq = (int(v) for v in line.split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
