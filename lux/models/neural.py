r"""Neural networks of the kinds that the field uses: from flux to many labels at once, with stated errors.

The networks minimize, over stars n and the labels m that they have,

.. math:: \tfrac12 \sum_{nm} \left[\frac{(y_{nm} - \mu_{nm})^2}{\sigma_{nm}^2 + v_{nm}}
    + \ln(\sigma_{nm}^2 + v_{nm})\right] ,

where :math:`\sigma_{nm}` is the catalogue's error and the network gives both the mean :math:`\mu` and the variance
:math:`v`. In each step fresh noise, a multiple of the errors of each pixel, is added to the flux: without it, networks
of so many weights learn the noise of few thousand stars by heart. The parameters kept are those that serve best the
stars held out of the steps.
"""

import functools
import itertools
import math
import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy.special import ndtri
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from lux.jax_settings import own_settings
from lux.models.prediction import Prediction, label_row
from lux.models.requirements import require_labels, require_like
from lux.models.weights import mean_flux, without_negligible
from lux.survey import Survey

# Width in pixels of the filters of a convolution, and how far apart they stand.
_WIDTH, _STRIDE = 8, 4
_FILTERS = (8, 16)
# Of the logarithm of the variance v, in units of the labels' own.
_LOG_VARIANCE = (-10.0, 4.0)
_MAX_GRADIENT = 1.0
# Stars whose outputs are computed at a time.
_BLOCK_SIZE = 256
# Normal deviates, one for each number of 16 bits: they cost less than exact ones, and are the same on every machine.
_DEVIATES = ndtri((np.arange(2**16) + 0.5) / 2**16)


class _Dense(eqx.Module):
    """Fully connected layers."""

    layers: tuple[eqx.nn.Linear, ...]

    def __init__(self, sizes: tuple[int, ...], key: jax.Array):
        keys = jax.random.split(key, len(sizes) - 1)
        self.layers = tuple(
            eqx.nn.Linear(*pair, key=each) for pair, each in zip(itertools.pairwise(sizes), keys, strict=True)
        )

    def hidden(self, values: jax.Array) -> jax.Array:
        for layer in self.layers[:-1]:
            values = jax.nn.gelu(layer(values))
        return values

    def __call__(self, values: jax.Array) -> jax.Array:
        return self.layers[-1](self.hidden(values))


class _Convolutional(eqx.Module):
    """Two convolutions and fully connected layers."""

    filters: tuple[eqx.nn.Linear, ...]
    dense: _Dense

    def __init__(self, sizes: tuple[int, ...], key: jax.Array):
        first, second, third = jax.random.split(key, 3)
        n_places = math.ceil(math.ceil(sizes[0] / _STRIDE) / _STRIDE)
        self.filters = (
            eqx.nn.Linear(_WIDTH, _FILTERS[0], key=first),
            eqx.nn.Linear(_WIDTH * _FILTERS[0], _FILTERS[1], key=second),
        )
        self.dense = _Dense((n_places * _FILTERS[1], *sizes[1:]), third)

    def hidden(self, values: jax.Array) -> jax.Array:
        return self.dense.hidden(self._convolved(values))

    def __call__(self, values: jax.Array) -> jax.Array:
        return self.dense(self._convolved(values))

    def _convolved(self, values: jax.Array) -> jax.Array:
        channels = values[:, None]
        for each in self.filters:
            channels = jax.nn.gelu(jax.vmap(each)(_patches(channels)))
        return channels.ravel()


# Of the settings that are no whole numbers; all are finite.
_RANGES = {
    "learning_rate": "above 0",
    "weight_decay": "not below 0",
    "noise": "not below 0",
    "held_out": "between 0 and 1",
}
_IN_RANGE: dict[str, Callable[[Any], bool]] = {
    "above 0": lambda value: 0 < value < math.inf,
    "not below 0": lambda value: 0 <= value < math.inf,
    "between 0 and 1": lambda value: 0 < value < 1,
}
_KINDS: dict[str, type[eqx.Module]] = {"dense": _Dense, "convolutional": _Convolutional}


class _Training(NamedTuple):
    """How a network is trained; hashable, for a compiled program knows it."""

    n_epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float


class _Data(NamedTuple):
    """Flux and its errors (N, D), labels, their variances and whether they are there (N, M), all scaled."""

    flux: jax.Array
    error: jax.Array
    labels: jax.Array
    variance: jax.Array
    present: jax.Array


class NeuralNetwork(BaseEstimator):
    """A network from the flux to all labels.

    Parameters
    ----------
    kind : {"dense", "convolutional"}
        Fully connected, or with two convolutions before, as StarNet has (Fabbro et al. 2018, MNRAS 475, 2978); steps of
        their filters take the place of its pooling.
    hidden : tuple of int
        Sizes of the fully connected layers.
    n_epochs, batch_size : int
        How often the training stars are gone through, and of how many a step is made.
    learning_rate, weight_decay : float
        The largest rate of a schedule that rises and falls (one cycle), and the decay of AdamW.
    noise : float
        Of the flux in training, in units of its errors, added anew in each step. The default is that of 0, 1, 2, 3, 4
        and 8 at which labels had the least errors in synthetic windows of spectra; what a network learns of a weak line
        depends on it more than the errors do.
    held_out : float
        Share of the stars by which it is told which epoch served best.
    seed : int
        Of the weights, the order of the stars, the noise and the stars held out.
    double : bool
        Train in double precision, in about twice the time: machines that round differently then agree.

    Attributes
    ----------
    loss_ : (n_epochs, 2) array
        Mean loss of the training stars, and of those held out, in each epoch.
    """

    def __init__(
        self,
        kind: str = "dense",
        hidden: tuple[int, ...] = (128, 64),
        n_epochs: int = 60,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-3,
        noise: float = 3.0,
        held_out: float = 0.125,
        seed: int = 0,
        double: bool = False,
    ):
        self.kind = kind
        self.hidden = hidden
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.noise = noise
        self.held_out = held_out
        self.seed = seed
        self.double = double

    def fit(self, survey: Survey) -> "NeuralNetwork":
        """Train on a survey; labels that are missing do not count, and masked pixels hold the mean flux.

        Raises
        ------
        ValueError
            If a setting trains no network, there are no labels, one is missing or the same in every star, or there are
            too few stars for a step.
        FloatingPointError
            If the loss is not finite at the end.
        """
        self._require_settings()
        require_labels(survey)
        n_held_out = max(1, round(self.held_out * survey.n_stars))
        if survey.n_stars - n_held_out < 2:
            raise ValueError(f"{survey.n_stars} stars are too few to train on and to hold some out")
        with own_settings(double=self.double):
            network, loss = self._trained(survey, n_held_out)
        # What is trained in double precision predicts in single precision, as all do.
        self.network_ = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32) if eqx.is_array(leaf) else leaf, network)
        self.loss_ = np.stack(loss, axis=1).astype(float)
        if not np.isfinite(self.loss_[-1]).all():
            raise FloatingPointError(
                f"the loss is {self.loss_[-1, 0]} after {self.n_epochs} epochs; try a lower learning_rate than "
                f"{self.learning_rate:g}"
            )
        return self

    def _require_settings(self) -> None:
        """Raise ValueError, which names it, if a setting trains no network."""
        if self.kind not in _KINDS:
            raise ValueError(f"unknown kind of network {self.kind!r}; choose one of {', '.join(_KINDS)}")
        if not np.iterable(self.hidden) or not all(_is_whole(size, 1) for size in self.hidden):
            raise ValueError(f"hidden must be a tuple of whole numbers, each at least 1; got {self.hidden!r}")
        for name, least in (("n_epochs", 1), ("batch_size", 1), ("seed", 0)):
            if not _is_whole(value := getattr(self, name), least):
                raise ValueError(f"{name} must be a whole number, at least {least}; got {value!r}")
        for name, expected in _RANGES.items():
            value = getattr(self, name)
            if not isinstance(value, numbers.Real) or not _IN_RANGE[expected](value):
                raise ValueError(f"{name} must be a number {expected}; got {value!r}")

    def _trained(self, survey: Survey, n_held_out: int) -> tuple[Any, tuple[jax.Array, jax.Array]]:
        """Return a trained network, and its losses."""
        data = self._scaled(survey)
        order = np.random.default_rng(self.seed).permutation(survey.n_stars)
        if np.all(np.isnan(survey.labels[order[:n_held_out]])):
            raise ValueError(
                f"none of the {n_held_out} stars held out has a label, by which the best epoch is known: leave stars "
                "without labels out of the training, hold more out, or take another seed"
            )
        held_out, train = (_Data(*(each[rows] for each in data)) for rows in np.split(order, [n_held_out]))
        key, steps = jax.random.split(jax.random.key(self.seed))
        sizes = survey.n_pixels, *self.hidden, 2 * survey.n_labels
        arrays, static = eqx.partition(_KINDS[self.kind](sizes, key), eqx.is_inexact_array)
        batch_size = min(self.batch_size, len(train.flux))
        how = _Training(self.n_epochs, batch_size, self.learning_rate, self.weight_decay)
        best, loss = _train(arrays, train, held_out, steps, self.noise, static, how)
        return eqx.combine(best, static), loss

    @own_settings()
    def predict_labels(self, survey: Survey) -> Prediction:
        """Return the labels, and the errors that the network states: those of the catalogue are not among them."""
        check_is_fitted(self)
        mean, log_variance = np.split(_in_blocks(_outputs, self.network_, self._flux(survey)), 2, axis=1)
        return Prediction(self.names_, self.center_ + self.scale_ * mean, self.scale_ * np.exp(log_variance / 2))

    @own_settings()
    def hidden_layer(self, survey: Survey) -> np.ndarray:
        """Return the last hidden layer, (N, hidden[-1])."""
        check_is_fitted(self)
        return _in_blocks(_hidden, self.network_, self._flux(survey))

    @own_settings()
    def gradient(self, survey: Survey, label: str) -> np.ndarray:
        """Return the derivative of a predicted label with respect to each star's flux, (N, D); zero where masked."""
        check_is_fitted(self)
        column = label_row(self.names_, label)
        slopes = _in_blocks(_slopes, self.network_, self._flux(survey), jnp.asarray(column))
        return np.where(self._good(survey), slopes * (self.scale_[column] / self.contrast_), 0)

    def label_jacobian(self, survey: Survey) -> np.ndarray:
        """Return the mean over stars of the derivative of the labels with respect to the flux, (M, D)."""
        return np.stack([self.gradient(survey, name).mean(axis=0) for name in self.names_])

    def randomized(self, seed: int = 0) -> "NeuralNetwork":
        """Return the same network with weights drawn anew, as they are before any training."""
        check_is_fitted(self)
        drawn = clone(self)
        drawn.__dict__.update({name: value for name, value in self.__dict__.items() if name.endswith("_")})
        sizes = len(self.mean_flux_), *self.hidden, 2 * len(self.names_)
        with own_settings():
            drawn.network_ = _KINDS[self.kind](sizes, jax.random.key(seed))
        return drawn

    def _scaled(self, survey: Survey) -> _Data:
        """Take the scales of a training survey, and return it in these."""
        present = ~np.isnan(survey.labels)
        self.names_, self.wavelength_ = survey.label_names, survey.wavelength
        self.center_, spread = np.nanmean(survey.labels, axis=0), np.nanstd(survey.labels, axis=0)
        self.scale_ = np.where(spread > 0, spread, 1.0)
        ivar = np.where(self._good(survey), survey.ivar, 0)
        self.mean_flux_ = mean_flux(survey.flux, ivar).astype(np.float32)
        self.contrast_ = 1.0
        deviation = self._flux(survey)
        self.contrast_ = float(deviation.std()) or 1.0
        error = np.where(ivar > 0, 1 / np.sqrt(np.where(ivar > 0, ivar, 1)), 0) / self.contrast_
        labels = np.where(present, (survey.labels - self.center_) / self.scale_, 0)
        variance = np.where(present, (survey.label_err / self.scale_) ** 2, 1)
        values = deviation / self.contrast_, error, labels, variance, present
        return _Data(*(jnp.asarray(each, float if self.double else jnp.float32) for each in values))

    def _flux(self, survey: Survey) -> np.ndarray:
        """Return what the network is given of the flux, (N, D)."""
        require_like(self.wavelength_, self.mean_flux_, survey)
        deviation = (survey.flux - self.mean_flux_) / np.float32(self.contrast_)
        return np.where(self._good(survey), deviation, np.float32(0)).astype(np.float32)

    @staticmethod
    def _good(survey: Survey) -> np.ndarray:
        return without_negligible(survey.ivar) > 0


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, numbers.Integral) and int(value) >= least


def _patches(channels: jax.Array) -> jax.Array:
    """Return the windows (ceil(L / stride), width C) on channels (L, C); what is beyond the end is zero."""
    length, n_channels = channels.shape
    count = -(-length // _STRIDE)
    padded = jnp.pad(channels, ((0, (count - 1) * _STRIDE + _WIDTH - length), (0, 0)))
    blocks = padded.reshape(-1, _STRIDE * n_channels)
    return jnp.concatenate([blocks[place : count + place] for place in range(_WIDTH // _STRIDE)], axis=1)


def _loss(network: Any, data: _Data, flux: jax.Array) -> jax.Array:
    """Return the loss of the module's docstring, a mean over the labels that are there."""
    mean, log_variance = jnp.split(_outputs(network, flux), 2, axis=-1)
    variance = data.variance + jnp.exp(log_variance)
    terms = (data.labels - mean) ** 2 / variance + jnp.log(variance)
    return jnp.sum(data.present * terms) / 2 / jnp.maximum(data.present.sum(), 1)


@eqx.filter_jit
def _outputs(network: Any, flux: jax.Array) -> jax.Array:
    """Return means and logarithms of variances (N, 2 M)."""
    mean, log_variance = jnp.split(jax.vmap(network)(flux), 2, axis=-1)
    return jnp.concatenate([mean, jnp.clip(log_variance, *_LOG_VARIANCE)], axis=-1)


@eqx.filter_jit
def _hidden(network: Any, flux: jax.Array) -> jax.Array:
    return jax.vmap(network.hidden)(flux)


@eqx.filter_jit
def _slopes(network: Any, flux: jax.Array, column: jax.Array) -> jax.Array:
    # Each star's output depends on its own flux alone.
    return jax.grad(lambda values: jnp.sum(jax.vmap(network)(values)[:, column]))(flux)


@functools.partial(jax.jit, static_argnames=("static", "how"))
def _train(
    arrays: Any, train: _Data, held_out: _Data, key: jax.Array, noise: float, static: Any, how: _Training
) -> tuple[Any, tuple[jax.Array, jax.Array]]:
    """Return the arrays of a network that serve the stars held out best, and both losses of each epoch."""
    n_stars = len(train.flux)
    n_steps = n_stars // how.batch_size
    rate = optax.cosine_onecycle_schedule(how.n_epochs * n_steps, how.learning_rate)
    optimizer = optax.chain(optax.clip_by_global_norm(_MAX_GRADIENT), optax.adamw(rate, weight_decay=how.weight_decay))

    def step(carry: Any, drawn: tuple[jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
        arrays, state = carry
        rows, key = drawn
        batch = _Data(*(each[rows] for each in train))
        flux = batch.flux + noise * batch.error * _normal(key, batch.flux)
        loss, slope = jax.value_and_grad(lambda arrays: _loss(eqx.combine(arrays, static), batch, flux))(arrays)
        change, state = optimizer.update(slope, state, arrays)
        return (optax.apply_updates(arrays, change), state), loss

    def epoch(carry: Any, key: jax.Array) -> tuple[Any, tuple[jax.Array, jax.Array]]:
        arrays, state, least, best = carry
        order, drawn = jax.random.split(key)
        rows = jax.random.permutation(order, n_stars)[: n_steps * how.batch_size].reshape(n_steps, -1)
        (arrays, state), losses = jax.lax.scan(step, (arrays, state), (rows, jax.random.split(drawn, n_steps)))
        loss = _loss(eqx.combine(arrays, static), held_out, held_out.flux)
        best = jax.tree.map(lambda new, old: jnp.where(loss < least, new, old), arrays, best)
        return (arrays, state, jnp.minimum(loss, least), best), (losses.mean(), loss)

    carry = arrays, optimizer.init(arrays), jnp.asarray(jnp.inf), arrays
    (_, _, _, best), losses = jax.lax.scan(epoch, carry, jax.random.split(key, how.n_epochs))
    return best, losses


def _normal(key: jax.Array, like: jax.Array) -> jax.Array:
    """Return normal deviates, of the shape and precision of an array."""
    return jnp.asarray(_DEVIATES, like.dtype)[jax.random.bits(key, like.shape, jnp.uint16)]


def _in_blocks(function: Callable[..., jax.Array], network: Any, flux: np.ndarray, *more: jax.Array) -> np.ndarray:
    """Return a function of the network, of each star's flux (N, D) and more, a block of one shape at a time."""
    results = []
    for first in range(0, len(flux), _BLOCK_SIZE):
        rows = flux[first : first + _BLOCK_SIZE]
        padded = np.pad(rows, ((0, _BLOCK_SIZE - len(rows)), (0, 0)))
        results.append(np.asarray(function(network, jnp.asarray(padded), *more), float)[: len(rows)])
    return np.concatenate(results)
