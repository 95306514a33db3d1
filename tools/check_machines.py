"""Build the quick paper and run the numerical tests under the arithmetic of other machines, and compare the results.

    python tools/check_machines.py                    all arithmetics
    python tools/check_machines.py --only NAME ...    some of them; `--list` names them
    python tools/check_machines.py --record           keep the table for the page on reproducibility
    python tools/check_machines.py --site             build the website as well

Another processor adds in another order and fuses other operations. What a library may use is restricted here by the
variables with which it can be told to leave instructions alone: XLA (``--xla_cpu_max_isa``), OpenBLAS
(``OPENBLAS_CORETYPE``) and NumPy (``NPY_DISABLE_CPU_FEATURES``); and by the number of threads. Each arithmetic has a
folder and a store of its own, so that nothing is read that another one computed.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import check_results

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "results" / "machines.json"
_AVX512 = "X86_V4 AVX512_ICL AVX512_SPR"
# Name -> most that XLA may use, kind of processor for OpenBLAS, what NumPy must not use, threads.
ARITHMETICS = {
    "SSE4.2, one thread": ("SSE4_2", "Nehalem", f"X86_V3 {_AVX512}", 1),
    "AVX, two threads": ("AVX", "Sandybridge", f"X86_V3 {_AVX512}", 2),
    "AVX2, one thread": ("AVX2", "Haswell", _AVX512, 1),
    "this machine's own, one thread": (None, None, "", 1),
    "this machine's own, two threads": (None, None, "", 2),
}
# Folders of `lux` whose modules' tests are about numbers, and other modules whose tests are.
_NUMERICAL = ("spectroscopy", "simulation", "models", "diagnostics", "auditing")
_ALSO_NUMERICAL = ("statistics", "wavelengths")
_ROW = "{arithmetic:<34} {identical:>5} identical in print {within:>4} within {beyond:>4} beyond  tests: {tests}"


def main(arguments=None):
    """Run what the command line asks for; return 1 if a number moved beyond its kind, or a test failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", metavar="NAME", help="arithmetics to run, by a part of their name")
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    parser.add_argument("--no-tests", action="store_true", help="build only")
    parser.add_argument("--site", action="store_true", help="build the website as well, and leave the store")
    parser.add_argument("--record", action="store_true", help=f"write the table to {TABLE.relative_to(ROOT)}")
    options = parser.parse_args(arguments)
    names = [name for name in ARITHMETICS if not options.only or any(part in name for part in options.only)]
    if options.list or not names:
        print("\n".join(ARITHMETICS))
        return int(not names)
    rows = [_run(name, tests=not options.no_tests, site=options.site) for name in names]
    for row in rows:
        print(_ROW.format(**row))
    if options.record:
        TABLE.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return int(any(row["beyond"] or row["tests"] == "failed" for row in rows))


def environment(name):
    """Return the variables under which libraries compute with an arithmetic of `ARITHMETICS`."""
    isa, core, disabled, threads = ARITHMETICS[name]
    flags = [os.environ.get("XLA_FLAGS", "")] + [f"--xla_cpu_max_isa={isa}"] * bool(isa)
    flags += ["--xla_cpu_multi_thread_eigen=false"] * (threads == 1)
    variables = {key: value for key, value in os.environ.items() if key != "OPENBLAS_CORETYPE"}
    variables |= {"XLA_FLAGS": " ".join(filter(None, flags)), "NPY_DISABLE_CPU_FEATURES": disabled}
    variables |= {"OPENBLAS_CORETYPE": core} if core else {}
    return variables | {f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "OPENBLAS", "MKL", "NUMBA")}


def folder_of(name):
    """Return where the paper is built under an arithmetic."""
    return ROOT / "_build" / "machines" / "".join(c if c.isalnum() else "-" for c in name)


def _run(name, tests, site):
    """Build and test under one arithmetic; return its row of the table."""
    started = time.monotonic()
    folder = folder_of(name)
    shutil.rmtree(folder, ignore_errors=True)
    threads = ARITHMETICS[name][-1]
    options = ["--profile", "quick", "--jobs", str(2 // threads), "--threads", str(threads)]
    options += [] if site else ["--only-chapters"]
    command = [sys.executable, "book/build.py", *options]
    print(f"== {name}", flush=True)
    subprocess.run([*command, "--folder", str(folder)], cwd=ROOT, env=environment(name), check=True)
    built = folder / "results"
    found, _ = check_results.check(built, ROOT / "results" / "synthetic-quick")
    found.beyond += check_results.stale_keys(built, ROOT, "synthetic-quick")
    for title, lines in (("within", found.within), ("beyond", found.beyond)):
        for line in lines:
            print(f"moved {title}: {line}", flush=True)
    if not site:
        shutil.rmtree(folder / "store", ignore_errors=True)
    row = {"arithmetic": name, "identical": found.identical, "within": len(found.within), "beyond": len(found.beyond)}
    return row | {"tests": _test(name) if tests else "not run", "seconds": round(time.monotonic() - started)}


def _test(name):
    modules = [path.stem for room in _NUMERICAL for path in sorted((ROOT / "lux" / room).glob("*.py"))]
    files = [
        path
        for path in (f"tests/test_{module}.py" for module in [*modules, *_ALSO_NUMERICAL])
        if (ROOT / path).exists()
    ]
    command = [sys.executable, "-m", "pytest", "-q", "-m", "", "--durations=0", "--durations-min=60", *files]
    return "failed" if subprocess.run(command, cwd=ROOT, env=environment(name)).returncode else "passed"


if __name__ == "__main__":
    sys.exit(main())
