"""Numbers and tables of the chapter on latent probing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lux.diagnostics import mutual_information, probing
from lux.diagnostics.erasure import fit_eraser
from lux.diagnostics.mutual_information import MutualInformationGap, mutual_information_gap
from lux.diagnostics.probing import InformationGain, Probe
from lux.figures import label_text
from lux.models.label_directions import UniqueDirection, unique_direction
from lux.paper.record import Record
from lux.paper.setup import Chapter, Fitted
from lux.paper.subject import EUROPIUM, in_words
from lux.statistics import Estimate, quadratic_terms
from lux.survey import Survey
from lux_pages.recipe import FOLLOWER, Published
from lux_pages.transfer import PUBLISHED

_PROBE_COLUMNS = (
    "linear", "perceptron", "other labels only", "ceiling", "control, linear", "selectivity, linear",
    "memorised, perceptron",
)  # fmt: skip
_BINS = tuple((n_bins, binning) for n_bins in (5, 10, 20, 40) for binning in mutual_information.BINNINGS)
_IRON = ("fe_h", "m_h")
# What the study reports (Horta 2026).
_STATEMENTS = {
    "latents that correlate most with [Eu/Fe]": "alpha's, iron's",
    "correlation of the latent that starts at [Eu/Fe]": "not given",
    "Mutual Information Gap of [Eu/Fe]": "0.02",
    "label with the lowest gap": "europium",
    "$R^2$ of the linear probe of [Eu/Fe]": "0.71",
    "perceptron minus linear": "about 0",
    "label with the weakest linear probe": "europium",
}
PUBLISHED_R2, PUBLISHED_GAP = 0.71, 0.02


def plain(names: Sequence[str]) -> list[str]:
    """Return the texts of labels without their units."""
    return [label_text(name, with_unit=False) for name in names]


def record_statements(record: Record, published: Mapping[str, Published], titles: Mapping[str, str], seed: int) -> None:
    """Record what the published statements say of each world, as the study made them."""
    columns: dict[str, list] = {"statement": list(_STATEMENTS), "published": list(_STATEMENTS.values())}
    for world, each in published.items():
        test, label = each.fitted.test, each.fitted.label
        options: dict[str, Any] = {"n_folds": 3, "n_control": 0, "seed": seed}
        probes = probing.probe_labels(each.fitted.latents, test.labels, test.label_err, test.label_names, **options)
        perceptron = probing.probe(each.fitted.latents, test.label(label), kind="mlp", **options).r2
        linear, weakest = probes[label].r2, min(probes.values(), key=lambda found: found.r2).label
        sizes = np.abs(each.correlations[each.column])
        best = ", ".join(f"{each.latent(latent)} ({sizes[latent]:.2f})" for latent in each.best)
        lowest = in_words(test.label_names[int(np.argmin(each.gap.gap))], "another")
        record(f"own_{world}", each.own, digits=2)
        record(f"gap_{world}", each.gap.gap[each.column], digits=2)
        record(f"r2_{world}", linear, digits=2)
        record(f"lowest_{world}", lowest)
        record(f"best_{world}", " and ".join(each.latent(latent) for latent in each.best))
        numbers = f"{linear:.2f}", f"{perceptron - linear:+.3f}"
        columns[titles[world]] = [
            best,
            f"{each.own:.2f}",
            f"{each.gap.gap[each.column]:.3f}",
            lowest,
            *numbers,
            in_words(weakest),
        ]
    record.table("statements", columns)


def record_variants(
    record: Record, variants: Iterable[tuple[str, Mapping[str, Published]]], titles: Mapping[str, str]
) -> None:
    """Record the gap of europium, and how its own latent correlates with it, where the recipe is changed."""
    rows = dict(variants)
    columns: dict[str, list] = {"fit": list(rows)}
    for heading, text in (("gap", _gap_text), ("own latent", lambda each: f"{each.own:.2f}")):
        for world, title in titles.items():
            columns[f"{heading}, {title}"] = [text(found[world]) for found in rows.values()]
    record.table("variants", columns)
    for world in titles:
        own = [found[world].own for found in rows.values()]
        gaps = [float(found[world].gap.gap[found[world].column]) for found in rows.values()]
        for name, values in (("own", own), ("gap", gaps)):
            record(f"{name}_low_{world}", min(values), digits=2)
            record(f"{name}_high_{world}", max(values), digits=2)


def _gap_text(each: Published) -> str:
    return f"{each.gap.gap[each.column]:.3f}{', lowest' if each.is_lowest else ''}"


def record_repeated(
    record: Record, repeated: Mapping[str, Sequence[Published]], titles: Mapping[str, str]
) -> dict[str, np.ndarray]:
    """Record how the gap and the own latent, also its SHAP share, vary over surveys; return the gaps of each kind."""
    headings = ("gap", "lowest", "own latent", "best two", "share in SHAP", "largest share")
    columns: dict[str, list] = {"world": [titles[world] for world in repeated], **{name: [] for name in headings}}
    gaps = {world: np.array([each.gap.gap[each.column] for each in found]) for world, found in repeated.items()}
    own = {world: np.array([each.own for each in found]) for world, found in repeated.items()}
    for world, found in repeated.items():
        share = np.array([each.own_share for each in found])
        row = (
            record(f"surveys_gap_{world}", gaps[world].mean(), uncertainty=gaps[world].std(ddof=1)),
            record(f"surveys_lowest_{world}", sum(each.is_lowest for each in found)),
            record(f"surveys_own_{world}", own[world].mean(), uncertainty=own[world].std(ddof=1)),
            record(f"surveys_pair_{world}", sum(each.column in each.best for each in found)),
            record(f"surveys_share_{world}", share.mean(), uncertainty=share.std(ddof=1)),
            record(
                f"surveys_largest_{world}", sum(each.attribution.dominant[each.column] == each.column for each in found)
            ),
        )
        for heading, value in zip(headings, row, strict=True):
            columns[heading].append(value)
        if world not in ("shortcut", FOLLOWER):
            record(f"gap_area_{world}", float(np.mean(gaps[world][:, None] < gaps["shortcut"])), digits=2)
            record(f"own_area_{world}", float(np.mean(own[world][:, None] > own["shortcut"])), digits=2)
    record("n_surveys", len(gaps["shortcut"]))
    record.table("repeated", columns)
    for name, world in (("default", "shortcut"), ("follower", FOLLOWER)):
        test = repeated[world][0].fitted.test
        record(f"{name}_std", float(np.std(test.label(EUROPIUM))), unit="dex", digits=2)
    return gaps


def record_gaps(record: Record, published: Published) -> None:
    """Record the gap of each label by the choice of bins."""
    test, names, column = published.fitted.test, list(published.fitted.test.label_names), published.column
    gaps = {choice: mutual_information_gap(published.fitted.latents, test.labels, names, *choice) for choice in _BINS}
    of_label = np.array([gap.gap[column] for gap in gaps.values()])
    record("plug_in_bias", mutual_information.plug_in_bias(20, test.n_stars), unit="nats", digits=2)
    record.numbers(digits=2, mig_bins_low=of_label.min(), mig_bins_high=of_label.max())
    record("mig_eu_lowest_times", sum(int(np.argmin(gap.gap) == column) for gap in gaps.values()))
    record("mig_choices", len(_BINS))
    columns: dict[str, list] = {"bins": [n_bins for n_bins, _ in _BINS]}
    columns["of equal"] = ["width" if binning == "width" else "numbers" for _, binning in _BINS]
    for row, text in enumerate(plain(names)):
        columns[text] = [f"{gap.gap[row]:.3f} ({gap.corrected_gap[row]:.3f})" for gap in gaps.values()]
    record.table("mig", columns)


def gaps_of_starts(chapter: Chapter, published: Published, fitted: Fitted) -> dict[str, MutualInformationGap]:
    """Return the gaps in the bases in which fits from three starts end."""
    test, found = fitted.test, {"published start": published.gap}
    random = chapter.published_model(fitted.train, "random").infer_latents(test)
    for title, latents in (("random start", random), ("principal components, canonical", fitted.latents)):
        found[title] = mutual_information_gap(latents, test.labels, list(test.label_names))
    return found


def rotated_gaps(fitted: Fitted, n_rotations: int, seed: int) -> np.ndarray:
    """Return the gap of each label (K, M) in K random rotations of the latents."""
    test = fitted.test
    turned = mutual_information.gap_over_rotations(
        fitted.latents, test.labels, list(test.label_names), n_rotations, seed
    )
    return np.array([each.gap for each in turned])


def record_bases(
    record: Record, rotated: np.ndarray, marked: Mapping[str, MutualInformationGap], names: Sequence[str], column: int
) -> None:
    """Record how the gap of europium, and of the label with the largest gap, depend on the basis."""
    published = marked["published start"].gap
    clearest = max((row for row in range(len(names)) if row != column), key=lambda row: published[row])
    record("fe_name", in_words(names[clearest]))
    record.numbers(digits=2, fe_published=published[clearest], fe_rotated=np.median(rotated[:, clearest]))
    low, high = np.percentile(rotated[:, column], [2.5, 97.5])
    record("rotated_low", low, digits=1)
    record("rotated_high", high, digits=2)
    random, canonical = (marked[title].gap[column] for title in ("random start", "principal components, canonical"))
    record.numbers(digits=2, eu_random_start=random, mig_eu=canonical)


@dataclass(frozen=True)
class Probes:
    """Four kinds of probes of each label: of latents, of the other labels, of latents of a model never told of one."""

    linear: Mapping[str, Probe]
    perceptron: Mapping[str, Probe]
    others_only: Mapping[str, Probe]
    never_told: Mapping[str, Probe]

    @property
    def shown(self) -> dict[str, Mapping[str, Probe]]:
        """The probes by the names that the figure gives them."""
        return {
            "linear": self.linear,
            "perceptron": self.perceptron,
            "other labels only": self.others_only,
            "latents never told of Eu": self.never_told,
        }


def all_probes(chapter: Chapter, fitted: Fitted) -> Probes:
    """Probe the latents of the test stars for every label, and what may take their place."""
    test, names, seed = fitted.test, list(fitted.test.label_names), chapter.seed
    labels = test.labels, test.label_err, names
    told = chapter.model(fitted.train.select_labels([name for name in names if name != fitted.label]))
    others_only = {
        name: probing.probe(
            quadratic_terms(np.delete(fitted.prediction.labels, row, axis=1)),
            test.labels[:, row],
            label=name,
            label_err=test.label_err[:, row],
            n_control=0,
            seed=seed,
        )
        for row, name in enumerate(names)
    }
    return Probes(
        probing.probe_labels(fitted.latents, *labels, n_control=20, seed=seed),
        probing.probe_labels(fitted.latents, *labels, kind="mlp", n_control=1, n_folds=3, seed=seed),
        others_only,
        probing.probe_labels(told.infer_latents(test), *labels, n_control=0, seed=seed),
    )


def record_probes(record: Record, probes: Probes, names: Sequence[str], label: str) -> None:
    """Record what probes read of each label, and in particular of one."""
    linear, perceptron = probes.linear, probes.perceptron
    kinds = {"linear": linear, "mlp": perceptron, "baseline": probes.others_only, "untold": probes.never_told}
    for key, found in kinds.items():
        _record_r2(record, f"{key}_eu", found[label])
    record("ceiling_eu", linear[label].ceiling)
    record("memorised_mlp", perceptron[label].fitted_control.mean(), digits=2)
    record("weakest", in_words(min(linear.values(), key=lambda found: found.r2).label))
    values = (
        *([_estimate(found[name]) for name in names] for found in (linear, perceptron, probes.others_only)),
        [linear[name].ceiling for name in names],
        [linear[name].control.mean() for name in names],
        [linear[name].selectivity for name in names],
        [perceptron[name].fitted_control.mean() for name in names],
    )
    columns = dict(zip(_PROBE_COLUMNS, values, strict=True))
    # A perceptron is trained to one of many minima: what it memorizes is the same on every machine to two digits.
    formats = dict.fromkeys(_PROBE_COLUMNS, ".3f") | {_PROBE_COLUMNS[-1]: ".2f"}
    record.table("probe_scores", {"label": plain(names)} | columns, formats=formats)


def _estimate(found: Probe) -> Estimate:
    return Estimate(found.r2, *found.interval)


def _record_r2(record: Record, key: str, found: Probe) -> None:
    record(key, found.r2, uncertainty=(found.interval[1] - found.interval[0]) / 2)


def record_circularity(record: Record, fitted: Fitted, seed: int) -> None:
    """Record by how much latents that were fitted with the labels are probed too well."""
    train, names = fitted.train, list(fitted.train.label_names)
    flux_only = fitted.model.infer_latents(train)
    found = probing.circularity(fitted.model.latents_, flux_only, train.labels, names, seed)
    record("inflation_eu", found[fitted.label].inflation, interval=found[fitted.label].interval)
    columns = {
        "fitted with labels": [found[name].circular.r2 for name in names],
        "flux only": [found[name].flux_only.r2 for name in names],
        "inflation": [found[name].inflation for name in names],
    }
    formats = dict.fromkeys(columns, ".4f")
    intervals = (found[name].interval for name in names)
    text = {"68 % interval": [f"{low:.4f} to {high:.4f}" for low, high in intervals]}
    record.table("circular", {"label": plain(names)} | columns | text, formats=formats)


@dataclass(frozen=True)
class Told:
    """What the latents tell about one label: in all, beyond the other labels, and beyond the others but the audited.

    `span` says how far the label's direction leaves that of the others.
    """

    total: InformationGain
    unique: InformationGain
    without: InformationGain
    span: UniqueDirection


def what_latents_tell(fitted: Fitted, n_permutations: int, seed: int) -> dict[str, Told]:
    """Return what the latents of the test stars tell about each label."""
    found = {}
    for name in fitted.test.label_names:
        rest = [other for other in fitted.test.label_names if other != name]
        found[name] = Told(
            _information(fitted, name, (), n_permutations=0, seed=seed),
            _information(fitted, name, rest, n_permutations=n_permutations, seed=seed),
            _information(fitted, name, [other for other in rest if other != fitted.label],
                         n_permutations=n_permutations, seed=seed),
            unique_direction(fitted.model, name, seed=seed),
        )  # fmt: skip
    return found


def _information(fitted: Fitted, name: str, given: Sequence[str], **options: Any) -> InformationGain:
    others = np.stack([fitted.prediction.label(other) for other in given], axis=1) if given else None
    return probing.information_gain(fitted.latents, fitted.test.label(name), others, label=name, **options)


def record_told(record: Record, told: Mapping[str, Mapping[str, Told]], labels: Mapping[str, str]) -> None:
    """Record what latents tell in each world, "shortcut" and "signal"; `labels` names the audited label of each."""
    rows = [(world, name, each) for world, found in told.items() for name, each in found.items()]
    columns = {
        "Eu lines": ["none" if world == "shortcut" else "planted" for world, _, _ in rows],
        "label": [label_text(name, False) for _, name, _ in rows],
        "all latents (nats)": [each.total.nats for *_, each in rows],
        "beyond all others": [each.unique.nats for *_, each in rows],
        "p": [each.unique.p_value for *_, each in rows],
        "beyond others but Eu": [each.without.nats for *_, each in rows],
        "angle (deg)": [each.span.angle for *_, each in rows],
        "p of angle": [each.span.p_value for *_, each in rows],
    }
    formats = dict(zip(list(columns)[2:], (".2f", ".3f", ".3f", ".3f", ".1f", ".4f"), strict=True))
    record.table("unique", columns, formats=formats)
    for world, label in labels.items():
        each = told[world][label]
        low, high = each.unique.interval
        record(f"unique_{world}", each.unique.nats, unit="nats", uncertainty=(high - low) / 2)
        record(f"total_{world}", each.total.nats, unit="nats", digits=2)
        record(f"angle_{world}", each.span.angle, unit="degrees", digits=2)
        record(f"unique_{world}_p", each.unique.p_value, digits=1)
        record(f"angle_{world}_p", each.span.p_value, digits=1)
    null = told["shortcut"][labels["shortcut"]].unique.null
    record("unique_null", null.mean(), unit="nats", uncertainty=null.std())


def record_directions(record: Record, told: Mapping[str, Told], label: str) -> None:
    """Record which combination of the other labels is nearest to one, and what iron and alpha tell with and without it.

    Where a label is missing from the survey, its coefficient is zero.
    """
    for key, start in (("fe", _IRON), ("alpha", ("alpha",))):
        each = next(each for name, each in told.items() if name.startswith(start))
        record(f"{key}_unique", each.unique.nats, unit="nats", digits=2)
        record(f"{key}_without", each.without.nats, unit="nats", digits=2)
    span = told[label].span
    combination = list(zip((name for name in told if name != label), span.coefficients, strict=True))
    for key, start in (("on_iron", _IRON), ("on_alpha", ("alpha",))):
        record(key, next((value for name, value in combination if name.startswith(start)), 0.0), digits=2)
    null = np.degrees(np.arcsin(np.sqrt(np.percentile(span.null, 97.5))))
    record("null_angle", null, unit="degrees", digits=2)


def erased_probes(fitted: Fitted, n_control: int, seed: int) -> dict[str, Probe]:
    """Probe the test stars' latents for the audited label, before and after all other labels are erased from them.

    The eraser is made from the training stars.
    """
    last = fitted.test.label_names.index(fitted.label)
    learned = fitted.train[np.all(np.isfinite(fitted.train.labels), axis=1)]
    eraser = fit_eraser(fitted.model.infer_latents(learned), np.delete(learned.labels, last, axis=1))
    target, latents = fitted.test.labels[:, last], fitted.latents
    return {
        "before": probing.probe(latents, target, n_control=0, seed=seed),
        "after erasing the other labels": probing.probe(eraser.apply(latents), target, n_control=n_control, seed=seed),
    }


def record_erasure(record: Record, erased: Mapping[str, Mapping[str, Probe]]) -> None:
    """Record what is left of the audited label in each world after all other labels are erased."""
    for world, probes in erased.items():
        before, after = probes.values()
        _record_r2(record, f"before_{world}", before)
        _record_r2(record, f"after_{world}", after)
        record(f"control_{world}", after.control.mean(), uncertainty=after.control.std())
        record(f"after_{world}_p", after.p_value, digits=2)


def record_published_r2(record: Record, test: Survey) -> None:
    """Record what would let a pure shortcut reach the published probe score; `test` is synthetic.

    A shortcut knows all of the true label but its own scatter u, so that of noisy labels it explains
    (V - u) / (V + e), for the variance V of the true label and the mean squared error e.
    """
    assert test.truth is not None, "simulated surveys have their truth"
    variance, own = np.var(test.truth.columns["eu_fe"]), np.var(test.truth.columns["eu_residual"])
    error = np.mean(test.label_err[:, test.label_index("eu_fe")] ** 2)
    wider = (own + PUBLISHED_R2 * error) / (1 - PUBLISHED_R2)
    better = (variance - own) / PUBLISHED_R2 - variance
    record("shortcut_r2", (variance - own) / (variance + error), digits=2)
    record.numbers(
        digits=2,
        observed_std=np.sqrt(variance + error),
        wider_std=np.sqrt(wider + error),
        label_error=np.sqrt(error),
        better_error=np.sqrt(max(better, 0)),
        wider_rmse=np.sqrt((1 - PUBLISHED_R2) * (wider + error)),
        better_rmse=np.sqrt((1 - PUBLISHED_R2) * (variance + better)),
        published_std=PUBLISHED["eu_fe"][0] / np.sqrt(1 - PUBLISHED_R2),
        unit="dex",
    )
