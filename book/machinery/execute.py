"""Execute one chapter in a process of its own: ``python execute.py SPECIFICATION.json``.

The specification names the notebook, its parameters and a folder of this run alone. What happened is written there as
``outcome.json``; nothing is written elsewhere, so a killed run leaves nothing that could be taken for a result.
"""

import json
import os
import re
import resource
import socket
import sys
import threading
import time
from pathlib import Path

_TRACEBACK_LINES = 25
# Both ends stand in the folder of the run, for the path of a socket may have 107 letters at most.
_SOCKETS = {"transport": "ipc", "ip": "kernel"}


def main():
    """Run the notebook of the specification and write its outcome."""
    specification = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    folder = Path(specification["folder"])
    started = time.monotonic()
    failure = _run(specification, folder)
    outcome = {
        "seconds": round(time.monotonic() - started, 2),
        "peak_memory_mb": round(_peak_memory_mb()),
        "failure": failure,
    }
    (folder / "outcome.json").write_text(json.dumps(outcome, indent=1), encoding="utf-8")
    return 1 if failure else 0


def _run(specification, folder):
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config

    try:
        papermill.execute_notebook(
            specification["notebook"],
            str(folder / "executed.ipynb"),
            parameters=specification["parameters"],
            kernel_name="python3",
            language="python",
            progress_bar=False,
            cwd=str(folder),
            execution_timeout=specification["timeout"],
            config=Config(KernelManager=_how_to_speak(folder)),
        )
    except PapermillExecutionError as error:
        return {
            "cell": _code_cell_number(folder / "executed.ipynb", error.cell_index),
            "error": f"{error.ename}: {error.evalue}",
            "traceback": _plain_text("\n".join(error.traceback)).splitlines()[-_TRACEBACK_LINES:],
        }
    except (DeadKernelError, CellTimeoutError) as error:
        cell = _last_started_cell(folder / "executed.ipynb")
        return {"cell": cell, "error": f"{type(error).__name__}: {error}", "traceback": []}
    return None


def _how_to_speak(folder):
    """Return how to speak to the kernel: through sockets in the run's own folder, where no other process can be first.

    Ports of the machine are found free, let go and taken again a second later, when another process may have them; they
    are used where the folder's file system knows no sockets.
    """
    probe = Path("probe")
    try:
        with socket.socket(socket.AF_UNIX) as tried:
            tried.bind(str(probe))
    except OSError:
        return {}
    probe.unlink()
    return {**_SOCKETS, "connection_file": str(folder / "kernel.json")}


def _code_cell_number(path, index):
    """Number of the source's code cell at this index, counted from 0, leaving out cells that papermill put in."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"][:index]
    return sum(cell["cell_type"] == "code" and not _injected(cell) for cell in cells)


def _last_started_cell(path):
    if not path.exists():
        return None
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    started = [
        cell["metadata"].get("papermill", {}).get("start_time") is not None
        for cell in cells
        if cell["cell_type"] == "code" and not _injected(cell)
    ]
    return sum(started) - 1 if any(started) else None


def _injected(cell):
    tags = cell["metadata"].get("tags", [])
    return "injected-parameters" in tags or "papermill-error-cell-tag" in tags


def _plain_text(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def _peak_memory_mb():
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _end_with_parent():
    """Stop when the build that started this process is gone: its end of the pipe closes, however it died."""
    import psutil

    os.read(sys.stdin.fileno(), 1)
    for child in psutil.Process().children(recursive=True):
        child.kill()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
