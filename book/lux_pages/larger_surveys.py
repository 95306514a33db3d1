"""The trial in surveys three times as large as those of the grid of `lux_pages.trial`.

Measured by ``tools/full_trial.py --larger``; its tables are kept in a file beside this module.
"""

from lux.controls.ensemble import GENERATORS
from lux.controls.techniques import TECHNIQUES
from lux.paper.record import Record
from lux_pages.trial import DEPTH, FALSE, SHOWN, FullTrial, area_and_powers, record_missed, record_share, total

SOURCE = "larger_trial.json"
WEAK_DEPTH = 0.003
# Of techniques that the text quotes.
_QUOTED = ("rmse", "mig", "shap", "shap_own", "probe", "mlp", "line_match", "jacobian", "audit_lines", "audit_features")


def record_larger(record: Record, found: FullTrial, larger: FullTrial) -> None:
    """Record the scores in larger surveys beside those in the largest of the grid, and what the audit says there."""
    (n_stars,) = {row["n_stars"] for row in larger.rows("scores")}
    record.numbers(stars_larger=n_stars, larger_seeds=larger.about["seeds"])
    record("larger_commit", larger.about["commit"], text=larger.about["commit"][:7])
    for name, depth in (("larger", DEPTH), ("larger_weak", WEAK_DEPTH)):
        columns: dict[str, list[str]] = {"technique": [TECHNIQUES[each].name for each in SHOWN]}
        for generator in GENERATORS:
            for size, trial in ((found.largest, found), (n_stars, larger)):
                rows = [trial.score(each, size, generator, depth) for each in SHOWN]
                columns[f"{generator}, {size}"] = [area_and_powers(row) for row in rows]
        record.table(name, columns)
    for generator in GENERATORS:
        for key, as_read in (("missed", False), ("missed_as_read", True)):
            record_missed(record, f"{key}_larger_{generator}", larger.missed(n_stars, generator, as_read=as_read))
        record_missed(record, f"missed_weak_larger_{generator}", larger.missed(n_stars, generator, WEAK_DEPTH))
        record_missed(record, f"missed_weak_{generator}", found.missed(found.largest, generator, WEAK_DEPTH))
        for key, depth in (("larger", DEPTH), ("weak_larger", WEAK_DEPTH)):
            uses = {row["name"]: row for row in larger.rows("uses", generator=generator, depth=depth)}
            for name in ("response", "own_slope", "own_slope_published"):
                record(f"{name}_{key}_{generator}", uses[name]["mean"], uncertainty=uses[name]["error"])
        for name in _QUOTED:
            value, low, high = larger.score(name, n_stars, generator)["area"]
            record(f"area_{name}_larger_{generator}", value, interval=(low, high), text=f"{value:.2f}")
    for how, verdict in (("told", "known"), ("blind", "proxy")):
        without, weak, planted = (larger.verdicts(how == "told", (depth,)) for depth in (0.0, WEAK_DEPTH, DEPTH))
        for key, found_there in (("larger", planted), ("weak_larger", weak)):
            record_share(record, f"{how}_{verdict}_{key}", found_there.get(verdict, 0), total(found_there))
        record_share(record, f"false_{how}_larger", sum(without.get(name, 0) for name in FALSE), total(without))
