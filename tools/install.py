"""Make the environment of the paper: ``python tools/install.py FOLDER``, with hashes checked, by uv where it is found.

Needs nothing but Python and its standard library. Says every few seconds how far it is, and what is missing before
anything is fetched.
"""

import importlib.util
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = "requirements.lock"
OLDEST = (3, 11)
REPORT_EVERY = 5.0
_SHOWN_LINES = 20


def missing(version=sys.version_info, find_module=importlib.util.find_spec, machine=(sys.platform, None)):
    """Return what is missing on this machine and how to get it, in a sentence, or None."""
    if tuple(version[:2]) < OLDEST:
        found, wanted = (".".join(map(str, pair[:2])) for pair in (version, OLDEST))
        return f"Python {wanted} or newer is needed, and this is {found}: make PYTHON=/path/to/python{wanted} ..."
    if not find_module("venv") or not find_module("ensurepip"):
        return "The Python modules venv and ensurepip are missing (Debian and Ubuntu: apt install python3-venv)."
    if machine == ("darwin", "x86_64"):
        return (
            "The locked version of JAX has no build for Macs with an Intel processor: "
            "use a Linux container (Docker, Podman) or another machine."
        )
    return None


def main(folder):
    """Install the lock and this project into a virtual environment at `folder`; return the exit status."""
    import platform

    problem = missing(machine=(sys.platform, platform.machine()))
    if Path(folder).is_symlink():
        # It would be emptied for all who share it.
        problem = (
            f"{folder} is a link to {Path(folder).resolve()}, whose packages are not those of the lock; remove the "
            "link and run again."
        )
    if problem:
        print(problem, file=sys.stderr)
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    total = len(re.findall(r"^[A-Za-z0-9][\w.-]*==", (ROOT / LOCK).read_text(encoding="utf-8"), re.MULTILINE))
    with_uv = shutil.which("uv") is not None
    print(f"Installing about {total} packages into {folder} with {'uv' if with_uv else 'pip'}; once.", flush=True)
    ways = {"uv": _uv_commands} if with_uv else {}
    for name, commands in {**ways, "pip": _pip_commands}.items():
        output = _run_all(commands(folder), total)
        if output is None:
            return 0
        print(f"{name} failed; its last lines:\n{output}", file=sys.stderr)
    return 1


def _pip_commands(folder):
    pip = [str(_python(folder)), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    return [
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        # What is imported is compiled then; to compile everything takes half of the installation.
        [*pip, "--no-compile", "--require-hashes", "--requirement", LOCK],
        [*pip, "--no-deps", "--editable", "."],
    ]


def _uv_commands(folder):
    install = ["uv", "pip", "install", "--python", str(_python(folder))]
    return [
        ["uv", "venv", "--clear", "--seed", "--python", sys.executable, str(folder)],
        [*install, "--require-hashes", "--requirement", LOCK],
        [*install, "--no-deps", "--editable", "."],
    ]


def _python(folder):
    return Path(folder) / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def _run_all(commands, total):
    """Run commands one after the other; return None, or the last lines of the one that failed."""
    for command in commands:
        lines = []
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        done = threading.Event()
        reporter = threading.Thread(target=_report, args=(lines, total, done), daemon=True)
        reporter.start()
        for line in process.stdout:
            lines.append(line.rstrip())
        done.set()
        reporter.join()
        if process.wait():
            return "\n".join(lines[-_SHOWN_LINES:])
    return None


def _report(lines, total, done):
    """Print how far an installation is, every few seconds until it is done."""
    started = time.monotonic()
    while not done.wait(REPORT_EVERY):
        if any(line.startswith("Collecting ") for line in lines):
            print(f"  {progress(list(lines), total)}, {time.monotonic() - started:.0f} s", flush=True)


def progress(lines, total):
    """Say in a few words what the lines that an installer has printed so far mean."""
    found = sum(line.startswith("Collecting ") for line in lines)
    sizes = re.findall(r"^\s*(?:Downloading|Using cached) .*\(([\d.]+) (kB|MB)", "\n".join(lines), re.MULTILINE)
    megabytes = sum(float(size) / (1000 if unit == "kB" else 1) for size, unit in sizes)
    if any(line.startswith("Installing collected packages") for line in lines):
        return f"{found} packages, {megabytes:.0f} MB: unpacking"
    return f"{found} of about {total} packages found, {megabytes:.0f} MB fetched"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1])))
