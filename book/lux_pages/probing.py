"""Numbers and tables of the chapter on latent probing."""

from collections.abc import Mapping, Sequence
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
from lux.paper.subject import in_words
from lux.statistics import Estimate, quadratic_terms

_PROBE_COLUMNS = (
    "linear", "perceptron", "other labels only", "ceiling", "control, linear", "selectivity, linear",
    "memorised, perceptron",
)  # fmt: skip
_BINS = tuple((n_bins, binning) for n_bins in (5, 10, 20, 40) for binning in mutual_information.BINNINGS)
_IRON = ("fe_h", "m_h")


def plain(names: Sequence[str]) -> list[str]:
    """Return the texts of labels without their units."""
    return [label_text(name, with_unit=False) for name in names]


def record_correlations(record: Record, correlations: np.ndarray, names: Sequence[str], column: int) -> None:
    """Record with which latent a label correlates best, and which other label does so too."""
    best = int(np.argmax(np.abs(correlations[column])))
    others = [row for row in range(len(names)) if row != column]
    companion = max(others, key=lambda row: abs(correlations[row, best]))
    record("eu_latent", best + 1)
    record("companion", in_words(names[companion]))
    record.numbers(digits=2, eu_largest=correlations[column, best], companion_correlation=correlations[companion, best])


def record_gaps(record: Record, fitted: Fitted, column: int) -> MutualInformationGap:
    """Record the gap of each label by the choice of bins; return the one of 20 bins of equal width."""
    names = list(fitted.test.label_names)
    gaps = {choice: mutual_information_gap(fitted.latents, fitted.test.labels, names, *choice) for choice in _BINS}
    usual, of_label = gaps[20, "width"], np.array([gap.gap[column] for gap in gaps.values()])
    bias = mutual_information.plug_in_bias(20, fitted.test.n_stars)
    record("plug_in_bias", bias, unit="nats", digits=2)
    record.numbers(digits=2, mig_eu=usual.gap[column], mig_bins_low=of_label.min(), mig_bins_high=of_label.max())
    record("mig_lowest", in_words(names[int(np.argmin(usual.gap))], "another label"))
    record("mig_eu_lowest_times", sum(int(np.argmin(gap.gap) == column) for gap in gaps.values()))
    record("mig_choices", len(_BINS))
    columns: dict[str, list] = {"bins": [n_bins for n_bins, _ in _BINS]}
    columns["of equal"] = ["width" if binning == "width" else "numbers" for _, binning in _BINS]
    for row, text in enumerate(plain(names)):
        columns[text] = [f"{gap.gap[row]:.3f} ({gap.corrected_gap[row]:.3f})" for gap in gaps.values()]
    record.table("mig", columns)
    return usual


def gaps_of_starts(chapter: Chapter, fitted: Fitted, usual: MutualInformationGap) -> dict[str, MutualInformationGap]:
    """Return the gaps in the bases in which fits from three starts end; `usual` is that of the default fit."""
    found = {"principal components, canonical": usual}
    for title, start in (("published start", "labels"), ("random start", "random")):
        latents = chapter.published_model(fitted.train, start).infer_latents(fitted.test)
        found[title] = mutual_information_gap(latents, fitted.test.labels, list(fitted.test.label_names))
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
    random_start = marked["random start"].gap[column]
    record.numbers(digits=2, eu_published_start=published[column], eu_random_start=random_start)


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


def record_rotated(record: Record, shortcut: np.ndarray, signal: np.ndarray) -> None:
    """Record how the gaps of the audited label in rotated bases (K,) of both worlds overlap."""
    record.numbers(
        digits=2,
        rotated_median_shortcut=np.median(shortcut),
        rotated_median_signal=np.median(signal),
        gap_auc=np.mean(signal[:, None] > shortcut),
    )
