"""Compare the results of the last build with the committed reference, each number by what it means.

    python tools/check_results.py            compare; exit status 1 if a number moved beyond what its kind allows
    python tools/check_results.py --accept   make the last build the reference

A *claim* (a verdict, a count, an ordering: text, truth values, whole numbers) is identical on every machine; only a
decimal number that was written into a text may differ by one in its last digit, where it is rounded. A number
that is *measured* (it has an uncertainty, an interval or a sampling error) may move by `FRACTION` of its error; so may
the error itself. One that is *exact* keeps its printed digits: it may move by half the last of them. Of *rounding*
noise the bound is recorded, and that is identical.

The reference of the default paper is in results/, that of any other data set or profile in a folder
results/<data set>-<profile>/. All references of one data set hold the same keys, tables and figures as the build: one
that lacks any is stale, and that fails too. `results/origin.json` says what each was made by.
"""

import argparse
import json
import math
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

# How far a measured number may move, in units of its error.
FRACTION = 0.1
DEFAULT_VARIANT = "synthetic-paper"
ORIGIN = "origin.json"
# What lies beside the reference of the default paper and is none.
_NO_RESULTS = {ORIGIN, "machines.json"}
ROOT = Path(__file__).resolve().parents[1]
_PARTS = ("results", "tables", "figures")
_DECIMAL = re.compile(r"\d+\.\d+")


@dataclass
class Comparison:
    """What became of the printed numbers and texts: how many are identical in print, and lines on the others."""

    identical: int = 0
    within: list[str] = field(default_factory=list)
    beyond: list[str] = field(default_factory=list)

    def add(self, other, prefix=""):
        """Add what another comparison found, each line with a prefix."""
        self.identical += other.identical
        self.within += [prefix + line for line in other.within]
        self.beyond += [prefix + line for line in other.beyond]

    def note(self, name, shown, allowed):
        """Count one entry: `shown` is what is printed before and after; `allowed` whether its kind lets it move so."""
        old, new = shown
        if not allowed:
            self.beyond.append(f"{name}: {old} -> {new}")
        elif old == new:
            self.identical += 1
        else:
            self.within.append(f"{name}: {old} -> {new}")


def compare(reference, fresh):
    """Compare two ``results/<chapter>.json``, parsed; return a `Comparison`."""
    found = Comparison()
    if reference["parameters"] != fresh["parameters"]:
        found.beyond.append(f"parameters: {reference['parameters']} -> {fresh['parameters']}")
    found.beyond += missing_keys(reference, fresh)
    for name, old in reference["results"].items():
        if name in fresh["results"]:
            new = fresh["results"][name]
            found.note(name, (_shown(old), _shown(new)), _allowed(old, new))
    for name, columns in reference["tables"].items():
        if name in fresh["tables"]:
            formats = fresh.get("formats", {}).get(name, {})
            found.add(_compare_tables(columns, fresh["tables"][name], formats), f"{name}: ")
    return found


def missing_keys(reference, fresh):
    """Return a line for each number, table or figure that only one of two results has."""
    lines = []
    for part in _PARTS:
        lines += [f"{name}: gone" for name in sorted(reference[part].keys() - fresh[part].keys())]
        lines += [f"{name}: new" for name in sorted(fresh[part].keys() - reference[part].keys())]
    return lines


def _shown(entry):
    return entry.get("text", str(entry["value"]))


def _allowed(old, new):
    """Whether an entry of the results may move from old to new."""
    if any(old.get(name) != new.get(name) for name in ("unit", "kind")):
        return False
    kind = new.get("kind", "claim")
    if kind == "measured":
        return _measured_alike(old, new)
    if kind == "exact":
        return abs(old["value"] - new["value"]) <= new["last_digit"] / 2 * (1 + 1e-9)
    return _alike(old["value"], new["value"])


def _alike(old, new):
    """Whether two claims are equal, but for decimal numbers in a text: these may differ by one in their last digit."""
    if not (isinstance(old, str) and isinstance(new, str)):
        return old == new
    if _DECIMAL.sub("#", old) != _DECIMAL.sub("#", new):
        return False
    for before, after in zip(_DECIMAL.findall(old), _DECIMAL.findall(new), strict=True):
        places = [len(number.partition(".")[2]) for number in (before, after)]
        if places[0] != places[1] or abs(float(before) - float(after)) > 1.001 * 10.0 ** -places[0]:
            return False
    return True


def _measured_alike(old, new):
    """Whether value and error of two measurements agree within `FRACTION` of the error."""
    if _error(old).keys() != _error(new).keys():
        return False
    ends = [*old.get("interval", ()), *new.get("interval", ()), old["value"], new["value"]]
    if not all(isinstance(end, (int, float)) and math.isfinite(end) for end in ends):
        return old == new
    allowed = FRACTION * max(_error(old).values()) + 1e-12
    pairs = [(old["value"], new["value"]), *zip(old.get("interval", ()), new.get("interval", ()), strict=True)]
    pairs += [(old[name], new[name]) for name in ("uncertainty", "sampling_error") if name in old]
    return all(abs(before - after) <= allowed for before, after in pairs)


def _error(entry):
    """Return the errors of a measurement by name: standard errors, or half of the interval."""
    found = {name: entry[name] for name in ("uncertainty", "sampling_error") if name in entry}
    if "interval" in entry:
        low, high = entry["interval"]
        found["interval"] = (high - low) / 2 if all(isinstance(end, (int, float)) for end in (low, high)) else math.inf
    return found


def _compare_tables(old, new, formats):
    found = Comparison()
    if list(old) != list(new):
        found.beyond.append(f"columns {list(old)} -> {list(new)}")
        return found
    for heading, cells in new.items():
        if len(old[heading]) != len(cells):
            found.beyond.append(f"{heading}: {len(old[heading])} rows -> {len(cells)}")
            continue
        for row, pair in enumerate(zip(old[heading], cells, strict=True)):
            shown = tuple(_shown_cell(cell, formats.get(heading)) for cell in pair)
            found.note(f"{heading}[{row}]", shown, _cell_allowed(*pair, formats.get(heading)))
    return found


def _shown_cell(cell, specification):
    if isinstance(cell, float):
        return format(cell, specification or ".3g")
    if isinstance(cell, dict) and specification:
        return format(cell["value"], specification)
    if isinstance(cell, dict):
        return "{value:.3g} [{interval[0]:.2g}, {interval[1]:.2g}]".format(**cell)
    return str(cell)


def _cell_allowed(old, new, specification):
    if isinstance(old, dict) and isinstance(new, dict):
        return _measured_alike(old, new)
    if isinstance(old, float) and isinstance(new, float):
        return abs(old - new) <= _last_digit(new, specification) / 2 * (1 + 1e-9)
    return _alike(old, new)


def _last_digit(value, specification):
    """Return the unit of the last digit that a format shows of a number; three significant digits by default."""
    if specification is None:
        return 10.0 ** (math.floor(math.log10(abs(value))) - 2) if value else 0.0
    mantissa, _, exponent = format(value, specification).lower().partition("e")
    decimals = len(mantissa.partition(".")[2].rstrip("% "))
    return 10.0 ** (int(exponent or 0) - decimals) / (100 if specification.endswith("%") else 1)


def main(arguments=None):
    """Compare or accept; return 1 if results moved, a reference is stale, or there is nothing to compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accept", action="store_true", help="make the last build the reference")
    parser.add_argument("--root", type=Path, default=ROOT, help="root of the repository")
    parser.add_argument("--built", type=Path, help="results to compare; those of the last build by default")
    options = parser.parse_args(arguments)
    built = options.built or options.root / "_build" / "results"
    if not (built / "variant.txt").exists():
        print("There are no fresh results: run make paper first.", file=sys.stderr)
        return 1
    variant = (built / "variant.txt").read_text().strip()
    reference = _reference(options.root, variant)
    if options.accept:
        return _accept(built, reference, options.root, variant)
    found, compared = check(built, reference)
    found.beyond += stale_keys(built, options.root, variant)
    for title, lines in (("moved within", found.within), ("moved beyond", found.beyond)):
        for line in lines:
            print(f"{title}: {line}")
    print(
        f"{compared} chapters against {_described(options.root, variant)}: {found.identical} numbers and texts "
        f"identical in print, {len(found.within)} moved within what their kind allows, {len(found.beyond)} moved beyond"
    )
    return int(bool(found.beyond) or not compared)


def check(built, reference):
    """Compare two folders of results; return a `Comparison` and the number of chapters."""
    found = Comparison()
    names = {path.name for path in built.glob("*.json")}
    expected = {path.name for path in reference.glob("*.json")} - _NO_RESULTS
    found.beyond += [f"{name}: no reference in {reference}; accept one with --accept" for name in names - expected]
    found.beyond += [f"{name}: has a reference but is not in this build" for name in sorted(expected - names)]
    for name in sorted(names & expected):
        old, new = (json.loads((folder / name).read_text(encoding="utf-8")) for folder in (reference, built))
        found.add(compare(old, new), f"{new['chapter']}: ")
    return found, len(names)


def stale_keys(built, root, variant):
    """Return a line for each key that this build has and another committed reference of its data set lacks, or back."""
    lines = []
    source = variant.rpartition("-")[0]
    for other in (f"{source}-paper", f"{source}-quick", f"{source}-full"):
        folder = _reference(root, other)
        for path in sorted(built.glob("*.json")) if other != variant else ():
            if (folder / path.name).exists():
                old, new = (json.loads(file.read_text(encoding="utf-8")) for file in (folder / path.name, path))
                lines += [f"{path.stem}: the {other} reference is stale: {line}" for line in missing_keys(old, new)]
    return lines


def _reference(root, variant):
    return root / "results" / ("" if variant == DEFAULT_VARIANT else variant)


def _described(root, variant):
    path = root / "results" / ORIGIN
    origin = json.loads(path.read_text(encoding="utf-8")).get(variant) if path.exists() else None
    if not origin:
        return f"the reference of {variant}"
    return f"the reference of {variant}, made at commit {origin['commit'][:10]} on {origin['machine']}"


def _accept(built, reference, root, variant):
    commit = _commit(root)
    reference.mkdir(parents=True, exist_ok=True)
    names = [path.name for path in built.glob("*.json")]
    for name in names:
        shutil.copy(built / name, reference)
    path = root / "results" / ORIGIN
    origins = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    folders = (built.parent / "chapters" / name for name in (variant.rpartition("-")[2], variant))
    stamps = {stamp.parent.name: stamp for folder in folders for stamp in folder.glob("*/stamp.json")}
    # They order the chapters of a build from nothing. One that read what others had computed is not as short there.
    former = origins.get(variant, {}).get("seconds", {})
    seconds = {
        name: max(json.loads(stamps[name].read_text(encoding="utf-8"))["seconds"], former.get(name, 0))
        for name in sorted(stamps)
    }
    origins[variant] = {
        "commit": commit,
        "machine": _machine(),
        "python": platform.python_version(),
        "seconds": seconds,
    }
    path.write_text(json.dumps(dict(sorted(origins.items())), indent=1) + "\n", encoding="utf-8")
    print(f"Accepted {len(names)} chapters as the reference in {reference}")
    return 0


def _commit(root):
    """Return the commit of the sources, with a mark where anything but the results differs from it."""

    def git(*arguments):
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("-dirty" if git("status", "--porcelain", "--", ".", ":!results") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _machine():
    """Return kind of machine and arithmetic: architecture, processor where it says so, cores."""
    processor = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        models = [
            line.partition(":")[2].strip() for line in information.read_text().splitlines() if "model name" in line
        ]
        processor = models[0] if models else processor
    return f"{platform.system()} {platform.machine()}, {processor}, {os.cpu_count()} cores"


if __name__ == "__main__":
    sys.exit(main())
