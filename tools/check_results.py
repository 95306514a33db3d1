"""Compare the results of the last build with the committed reference and list what moved.

    python tools/check_results.py            compare; exit status 1 if anything moved
    python tools/check_results.py --accept   make the last build the reference

The reference of the default paper is in results/, that of any other data set or profile in a folder
results/<data set>-<profile>/. Numbers may differ by a relative 1e-3 (other machines round differently), or by what
results/tolerances.json allows for a key: {"03_label_transfer": {"eu_rmse": 0.02}}, relative again; text and truth
values must be equal.
"""

import argparse
import json
import math
import shutil
import sys
from pathlib import Path

RELATIVE_TOLERANCE = 1e-3
# Below this a number is a rounding error: half the last digit of anything the paper quotes is far above.
ABSOLUTE_TOLERANCE = 1e-9
DEFAULT_VARIANT = "synthetic-paper"
ROOT = Path(__file__).resolve().parents[1]


def compare(reference, fresh, tolerances):
    """Return what moved between two results of one chapter, as lines of text.

    Parameters
    ----------
    reference, fresh : dict
        Contents of two ``results/<chapter>.json``.
    tolerances : dict
        Key or table name -> relative tolerance, where it is not the default.
    """
    moved = []
    if reference["parameters"] != fresh["parameters"]:
        moved.append(f"parameters: {reference['parameters']} -> {fresh['parameters']}")
    for kind in ("results", "tables", "figures"):
        for name in sorted(reference[kind].keys() - fresh[kind].keys()):
            moved.append(f"{name}: gone")
        for name in sorted(fresh[kind].keys() - reference[kind].keys()):
            moved.append(f"{name}: new")
    for name, entry in reference["results"].items():
        if name in fresh["results"]:
            tolerance = tolerances.get(name, RELATIVE_TOLERANCE)
            for field in ("value", "unit", "uncertainty", "interval"):
                moved += _moved(name, field, entry.get(field), fresh["results"][name].get(field), tolerance)
    for name, columns in reference["tables"].items():
        if name in fresh["tables"]:
            tolerance = tolerances.get(name, RELATIVE_TOLERANCE)
            for heading in columns.keys() | fresh["tables"][name].keys():
                moved += _moved(name, heading, columns.get(heading), fresh["tables"][name].get(heading), tolerance)
    return moved


def _moved(name, field, old, new, tolerance):
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [line for row, (a, b) in pairs for line in _moved(name, f"{field}[{row}]", a, b, tolerance)]
    both_numbers = all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in (old, new))
    if both_numbers:
        if math.isclose(old, new, rel_tol=tolerance, abs_tol=ABSOLUTE_TOLERANCE):
            return []
        change = f" ({(new - old) / old:+.2%}, allowed {tolerance:.2%})" if old else ""
        return [f"{name}: {field} {old:g} -> {new:g}{change}"]
    return [] if old == new else [f"{name}: {field} {old} -> {new}"]


def main(arguments=None):
    """Compare or accept; return 1 if results moved or there is nothing to compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accept", action="store_true", help="make the last build the reference")
    parser.add_argument("--root", type=Path, default=ROOT, help="root of the repository")
    options = parser.parse_args(arguments)
    built = options.root / "_build" / "results"
    if not (built / "variant.txt").exists():
        print("There are no fresh results: run make paper first.", file=sys.stderr)
        return 1
    variant = (built / "variant.txt").read_text()
    reference = options.root / "results" / ("" if variant == DEFAULT_VARIANT else variant)
    if options.accept:
        return _accept(built, reference)
    return _check(built, reference, options.root / "results" / "tolerances.json")


def _accept(built, reference):
    reference.mkdir(parents=True, exist_ok=True)
    for path in built.glob("*.json"):
        shutil.copy(path, reference)
    print(f"Accepted {len(list(built.glob('*.json')))} chapters as the reference in {reference}")
    return 0


def _check(built, reference, tolerances_path):
    tolerances = json.loads(tolerances_path.read_text(encoding="utf-8")) if tolerances_path.exists() else {}
    names = sorted(path.name for path in built.glob("*.json"))
    total = compared = 0
    for name in names:
        if not (reference / name).exists():
            print(f"{name}: no reference in {reference}; accept one with --accept")
            total += 1
            continue
        old, new = (json.loads((folder / name).read_text(encoding="utf-8")) for folder in (reference, built))
        moved = compare(old, new, tolerances.get(old["chapter"], {}))
        compared += len(new["results"]) + len(new["tables"])
        total += len(moved)
        for line in moved:
            print(f"{old['chapter']}: {line}")
    for name in sorted({path.name for path in reference.glob("*.json")} - {*names, "tolerances.json"}):
        print(f"{name}: has a reference but is not in this build")
    print(f"{len(names)} chapters, {compared} numbers and tables compared, {total} moved")
    return int(total > 0 or not names)


if __name__ == "__main__":
    sys.exit(main())
