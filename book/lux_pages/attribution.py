"""Numbers and tables of the chapter on SHAP."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lux.diagnostics import attribution
from lux.diagnostics.attribution import LatentAttribution, Shapley
from lux.figures import label_text
from lux.models.lux import Lux
from lux.models.prediction import Prediction
from lux.paper.record import Record
from lux.paper.setup import Chapter, Fitted
from lux.paper.subject import in_words
from lux_pages import recipe
from lux_pages.recipe import Published

# As in the published study, the first latent is the constant.
FIRST_LATENT = 2
PUBLISHED, REVERSED = "published start", "published start, labels reversed"
RANDOM, CANONICAL = "random start", "principal components, canonical"
_ROUNDING = 1e-6
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def latent_name(number: int) -> str:
    """Return the name of a latent, counted from zero, as the published study counts them."""
    return "z" + str(FIRST_LATENT + int(number)).translate(_SUBSCRIPTS)


def share_of(attributed: LatentAttribution, label: str) -> np.ndarray:
    """Return the shares (P,) of the latents in a label."""
    return attributed.share[attributed.names.index(label)]


def dominant(attributed: LatentAttribution, label: str) -> str:
    """Return the name of the latent with the largest share in a label."""
    return latent_name(attributed.dominant[attributed.names.index(label)])


@dataclass(frozen=True)
class Starts:
    """Four fits of the same stars that differ in their start, by name; the published one comes first.

    Parameters
    ----------
    fitted : Fitted
        The default fit with its stars.
    models : dict of str to Lux
    explained : dict of str to LatentAttribution
        Of the test stars.
    predicted : dict of str to Prediction
    """

    fitted: Fitted
    models: Mapping[str, Lux]
    explained: Mapping[str, LatentAttribution]
    predicted: Mapping[str, Prediction]

    @property
    def changes(self) -> dict[str, float]:
        """How far the predictions of each fit are from those of the published start, in label errors."""
        published, test = self.predicted[PUBLISHED], self.fitted.test
        return {name: attribution.prediction_change(published, other, test) for name, other in self.predicted.items()}


def four_starts(chapter: Chapter, fitted: Fitted) -> Starts:
    """Fit the training stars from the published start, from it with labels reversed, from noise, and by default."""
    train, test = fitted.train, fitted.test
    models = {
        PUBLISHED: chapter.published_model(train),
        REVERSED: chapter.published_model(train.select_labels(train.label_names[::-1])),
        RANDOM: chapter.published_model(train, "random"),
        CANONICAL: fitted.model,
    }
    explained = {name: attribution.latent_shap(model, model.infer_latents(test)) for name, model in models.items()}
    return Starts(fitted, models, explained, {name: model.predict_labels(test) for name, model in models.items()})


def record_closed_form(record: Record, starts: Starts) -> None:
    """Record that the package agrees with the closed form, and that the values of a star add up to its prediction."""
    explained, model = starts.explained[PUBLISHED], starts.models[PUBLISHED]
    package = attribution.shap_package(model, explained.latents)
    additivity = explained.predictions - starts.predicted[PUBLISHED].labels
    differences = {
        "closed_form": np.max(np.abs(package.values - explained.values) / model.label_scale_[:, None]),
        "additivity": np.max(np.abs(additivity) / model.label_scale_),
    }
    for key, difference in differences.items():
        small = bool(difference < _ROUNDING)
        record(key, small, text="less than 10⁻⁶" if small else f"{difference:.0e}")


def record_starts(record: Record, starts: Starts) -> None:
    """Record which latents carry which label in each fit, and how far its predictions moved."""
    test, target = starts.fitted.test, starts.fitted.label
    rmse = [np.sqrt(np.nanmean((each.label(target) - test.label(target)) ** 2)) for each in starts.predicted.values()]
    explained = starts.explained.values()
    columns: dict[str, list] = {"start": ["published", "reversed", "random", "canonical"]}
    for name in test.label_names:
        texts = [f"{dominant(each, name)} ({share_of(each, name).max():.2f})" for each in explained]
        columns[label_text(name, with_unit=False)] = texts
    columns["spread of Eu"] = [each.participation[each.names.index(target)] for each in explained]
    columns |= {"RMSE": rmse, "moved": list(starts.changes.values())}
    record.table("starts", columns, formats={"spread of Eu": ".1f", "RMSE": ".4f", "moved": ".3f"})
    changes = starts.changes
    record("reversed_change", changes[REVERSED], bound=1e-5)
    record("largest_change", max(changes.values()), digits=2)
    record.numbers(digits=2, random_change=changes[RANDOM], canonical_change=changes[CANONICAL])


def record_dominant(record: Record, starts: Starts, iron: str, alpha: str) -> None:
    """Record which latents dominate which labels with the published start, and with its labels reversed."""
    published, names = starts.explained[PUBLISHED], starts.fitted.test.label_names
    for key, name in (("teff", "teff"), ("fe", iron), ("alpha", alpha)):
        record(f"published_{key}", dominant(published, name))
        record(f"reversed_{key}", dominant(starts.explained[REVERSED], name))
        if key != "alpha":
            record(f"published_{key}_share", share_of(published, name).max(), digits=2)
    share = share_of(published, starts.fitted.label)
    for place, latent in enumerate(np.argsort(-share)[:4], 1):
        record(f"eu_{place}", latent_name(latent))
        record(f"eu_{place}_share", share[latent], digits=2)
    participation = published.participation
    record("most_spread", in_words(names[int(np.argmax(participation))], "another"))
    record.numbers(
        digits=2,
        eu_in_first_five=share[:5].sum(),
        eu_evenness=share[:5].sum() ** 2 / np.sum(share[:5] ** 2),
        eu_participation=participation[names.index(starts.fitted.label)],
        fe_participation=participation[names.index(iron)],
        most_spread_over=participation.max(),
    )


def record_variants(
    record: Record, variants: Iterable[tuple[str, Mapping[str, Published]]], titles: Mapping[str, str]
) -> None:
    """Record what europium's own latent carries of it, in each world and where the recipe is changed."""
    rows = dict(variants)
    columns: dict[str, list] = {"fit": list(rows)}
    for world, title in titles.items():
        each = [found[world] for found in rows.values()]
        columns[f"own latent, {title}"] = [one.own_share for one in each]
        columns[f"largest, {title}"] = [one.latent(one.attribution.dominant[one.column]) for one in each]
        published, shares = each[0], [one.own_share for one in each]
        record(f"own_share_{world}", published.own_share, digits=2)
        record(f"five_rounds_{world}", rows[recipe.FIVE_ROUNDS][world].own_share, digits=2)
        record(f"share_low_{world}", min(shares), digits=2)
        record(f"share_high_{world}", max(shares), digits=2)
        record(f"effective_{world}", float(published.attribution.participation[published.column]), digits=2)
        record(f"largest_{world}", published.latent(published.attribution.dominant[published.column]))
    record.table("variants", columns, formats={f"own latent, {title}": ".2f" for title in titles.values()})


def record_rotations(
    record: Record, worlds: Mapping[str, Fitted], n_rotations: int, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Record over how many latents europium is spread in rotated bases of each world, and in the canonical ones.

    Returns
    -------
    (dict of world to (K,) arrays, dict of world to float)
        The effective number of latents in K rotated bases, and in the canonical basis.
    """
    turned, single = {}, {}
    for world, fitted in worlds.items():
        column = fitted.test.label_names.index(fitted.label)
        shares = attribution.shares_over_rotations(fitted.model, fitted.latents, n_rotations, seed)
        turned[world] = _participation(shares[:, column])
        canonical = attribution.latent_shap(fitted.model, fitted.latents).participation[column]
        single[world] = float(canonical)
        record(f"turned_{world}", turned[world].mean(), uncertainty=turned[world].std())
        record(f"canonical_{world}", single[world], digits=2)
        if world == "shortcut":
            temperature = _participation(shares[:, 0])
            record("turned_teff", temperature.mean(), uncertainty=temperature.std())
            record("n_dominant", len(np.unique(shares[:, 0].argmax(axis=1))))
    record("n_rotations", n_rotations)
    return turned, single


def _participation(share: np.ndarray) -> np.ndarray:
    """Return over how many latents shares (K, P) are spread effectively (K,)."""
    return 1 / np.sum(share**2, axis=1)


def shares_over_labels(prediction: Prediction, seed: int) -> dict[str, Shapley]:
    """Return for each predicted label how its variance is shared among the other predicted labels."""
    labels, names = prediction.labels, prediction.names
    return {name: attribution.label_shapley(labels, names, name, seed=seed) for name in names}


def record_owed(
    record: Record, shared: Mapping[str, Mapping[str, Shapley]], labels: Mapping[str, str], iron: str, alpha: str
) -> None:
    """Record what the prediction of the audited label owes to the others, in each world; `labels` names it there."""
    for world, label in labels.items():
        total = shared[world][label].total
        record(f"owed_{world}", 100 * total.value, unit="%", uncertainty=100 * total.uncertainty)
        record(f"own_{world}", 100 * (1 - total.value), unit="%", uncertainty=100 * total.uncertainty)
    target = labels["shortcut"]
    found = shared["shortcut"][target]
    rows = dict(zip(found.players, zip(found.values, found.intervals, strict=True), strict=True))
    for key, name in (("iron", iron), ("alpha", alpha), ("teff", "teff")):
        if name == target:
            record(f"owed_to_{key}", "no share, being the label itself,")
            continue
        value, (low, high) = rows[name]
        record(f"owed_to_{key}", 100 * value, unit="%", uncertainty=50 * (high - low))
    record("alpha_owed", 100 * shared["shortcut"][alpha].total.value, unit="%", digits=3)
    record("alpha_owed_signal", 100 * shared["signal"]["alpha_fe"].total.value, unit="%", digits=3)


def record_moved_shares(record: Record, one: Shapley, prediction: Prediction, label: str, seed: int) -> None:
    """Record by how much the shares in a label differ in another prediction of it."""
    other = attribution.label_shapley(prediction.labels, prediction.names, label, seed=seed)
    values, others = (dict(zip(each.players, each.values, strict=True)) for each in (one, other))
    record("shares_moved", max(abs(others[name] - values[name]) for name in others), digits=1)


def record_groups(record: Record, found: Shapley, groups: Mapping[str, np.ndarray]) -> None:
    """Record what groups of pixels explain of catalogue europium."""
    record("all_pixels", found.total.value, digits=3)
    record("worst_alone", found.alone.min(), digits=2)
    record("worst_group", found.players[int(found.alone.argmin())])
    record("best_last", found.last.max(), digits=2)
    for place, row in zip(("second", "best"), np.argsort(found.alone)[-2:], strict=True):
        record(f"{place}_group", found.players[int(row)])
        record(f"{place}_alone", float(found.alone[row]), digits=3)
    share = 100 * found.values / found.total.value
    record.numbers(unit="%", digits=2, group_low=share.min(), group_high=share.max())
    columns: dict[str, Sequence] = {"group": list(groups), "pixels": [int(pixels.sum()) for pixels in groups.values()]}
    numbers = {"Eu, alone": list(found.alone), "Eu, Shapley": list(found.values), "Eu, when last": list(found.last)}
    record.table("groups", columns | numbers, formats=dict.fromkeys(numbers, ".3f"))
