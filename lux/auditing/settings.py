"""The choices behind a verdict in one place: which p-values count, how chance is drawn, what is clipped."""

import dataclasses
import numbers

from scipy import stats

from lux.models.weights import MAX_ERROR_RATIO

_AT_LEAST_ONE = ("n_surrogates", "n_moved_lists", "n_probed", "max_opened_stars", "max_places")
_SHARES = (
    "significance",
    "significance_at_own_lines",
    "significance_of_artefact",
    "power",
    "share_to_find",
    "quantile_of_lines",
)


@dataclasses.dataclass(frozen=True)
class AuditSettings:
    """What an audit counts as significant and how it measures.

    With the defaults at most five per cent of shortcuts are called something else. Lines that were named beforehand are
    one hypothesis and get the larger part of that; what is searched for needs a smaller p-value.

    Parameters
    ----------
    significance : float
        p-value below which evidence counts that was searched for: strong features, any one line, a leak.
    significance_at_own_lines : float
        p-value below which absorption at the own lines counts.
    significance_of_artefact : float
        p-value below which evidence counts that stands still in the observer's frame, or that masks follow a label.
        What is found is masked, which costs evidence elsewhere.
    power, share_to_find : float
        A label is called guessed only if a feature that carries this share of the label's own variance would have been
        found with this probability.
    min_stars, min_test_stars : int
        With fewer stars that have the label, in all or in the test survey, the verdict is "undecided". The flux of all
        is read, and the model is asked about the test stars.
    n_surrogates, n_moved_lists : int
        Surrogate labels, and lists of lines moved in wavelength, that give the null distributions.
    min_moved_lists : int
        Where fewer shifts than this clear the own lines, each line is moved by itself.
    n_components, n_squared : int
        Principal components of the flux that are nuisances, and how many of them enter with squares and products.
    stars_of_components : int
        To so many stars; of more, both grow as the root of their number. What components leave of the other labels, of
        which a label is a function, is a smaller share than the noise of few stars, and more than that of many.
    stars_per_term : int
        The other labels enter with as many of their squares and products as leave this many stars for each term.
    clip : float
        Residuals, scores and channels are limited to this many robust standard deviations.
    max_leverage : float
        Leverages of single stars are limited to this.
    own_reach : float
        An own line reaches this many times the full width of an unresolved line to either side.
    share_of_growth : float
        Agreement that grows with the catalogue's error significantly, and by this share of what it would if all of it
        were noise, is a leak.
    max_overstatement : float
        Errors that are alike are taken to be overstated by at most this factor.
    quantile_of_lines : float
        Quantile of the largest significance by chance beyond which more than one place is searched for a leak.
    max_places, min_separation : int
        Most such places, and the pixels between two of them.
    max_observed_places : int
        Most places of an artefact in the observer's frame, beside those of known airglow.
    min_slope_stars : int
        A slope on the catalogue's errors must rest on at least this many stars, ...
    min_error_std : float
        ... on errors whose standard deviation over their mean is larger than this, ...
    min_error_share : float
        ... and, for the square of a channel, on this share of their variance beyond the channel's noise.
    min_shift : float
        Change of a prediction, in units of its standard deviation, that shows that it reads the test stars' labels.
    max_own_lines : int
        Most own lines of an element by default, or from a `LineList`, the strongest ones.
    n_probed : int
        At about so many pixels off the own lines it is asked how weak a line could be seen.
    dense_spacing : float
        An element with a line in each such stretch of spectrum (Angstrom) leaves no place that is not its own.
    max_error_ratio : float
        A pixel whose error is so many times that of the star's good pixels counts as masked.
    max_opened_stars : int
        Of surveys that were opened and not loaded, with more stars in all, so many are read, chosen at random. Where
        ``groups`` says of which star each spectrum is, these are spectra, of stars with all of theirs.
    """

    significance: float = 0.005
    significance_at_own_lines: float = 0.015
    significance_of_artefact: float = 0.001
    power: float = 0.95
    share_to_find: float = 0.5
    min_stars: int = 100
    min_test_stars: int = 20
    n_surrogates: int = 200
    n_moved_lists: int = 2000
    min_moved_lists: int = 200
    n_components: int = 30
    n_squared: int = 6
    stars_of_components: int = 5000
    stars_per_term: int = 20
    clip: float = 5.0
    max_leverage: float = 0.9
    own_reach: float = 4.5
    share_of_growth: float = 0.5
    max_overstatement: float = 1.5
    quantile_of_lines: float = 0.95
    max_places: int = 10
    min_separation: int = 6
    max_observed_places: int = 50
    min_slope_stars: int = 20
    min_error_std: float = 1e-6
    min_error_share: float = 0.05
    min_shift: float = 1e-3
    max_own_lines: int = 30
    n_probed: int = 200
    dense_spacing: float = 4.0
    max_error_ratio: float = MAX_ERROR_RATIO
    max_opened_stars: int = 5000

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, whole = getattr(self, field.name), isinstance(field.default, int)
            least, most = float(field.name in _AT_LEAST_ONE), 1.0 if field.name in _SHARES else float("inf")
            kind = numbers.Integral if whole else numbers.Real
            if isinstance(value, bool) or not isinstance(value, kind) or not least <= float(value) <= most:
                limits = f"{least:g} to {most:g}" if field.name in _SHARES else f"at least {least:g}"
                raise ValueError(
                    f"{field.name} is {value!r}; expected a {'whole number' if whole else 'number'} of {limits}"
                )

    def min_growth(self, expected: float) -> float:
        """Return from where on growth with the catalogue's error is a leak, given what it would be in one.

        Both in standard deviations; infinite where even that would not be significant, the errors being too alike, or
        none is expected, as they follow the label.
        """
        least = float(stats.norm.isf(self.significance))
        return max(least, self.share_of_growth * expected) if expected > least else float("inf")

    def __str__(self) -> str:
        """Return the two p-values that count, and what differs from the defaults."""
        changed = [
            f"{field.name} = {getattr(self, field.name):g}"
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default
        ]
        counts = f"p < {self.significance:g} counts, at own lines p < {self.significance_at_own_lines:g}"
        return f"{counts}; {', '.join(changed) or 'all by default'}"
