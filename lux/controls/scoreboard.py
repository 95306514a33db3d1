"""All techniques scored in all worlds of an ensemble: what `lux.controls.runner.run` measured, grouped by cell."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lux.controls import scores
from lux.controls.ensemble import BESIDES, DEPTH_BESIDE, DEPTHS, TAUS, beside_key, depth_key
from lux.controls.runner import SHARED
from lux.controls.scores import OPTIMAL_SIGNIFICANCE, Score
from lux.controls.techniques import TECHNIQUES
from lux.statistics import Estimate

# Depths of lines that are planted, in flux per standard deviation of [Eu/Fe].
LINE_DEPTHS = tuple(depth for depth in DEPTHS if depth)


@dataclass(frozen=True)
class TechniqueScores:
    """The scores of one technique against worlds without lines.

    Parameters
    ----------
    by_depth : tuple of Score
        Of worlds with lines, by `LINE_DEPTHS`.
    elsewhere : tuple of Score
        Of worlds with something else planted, by `BESIDES`.
    smallest_depth : Estimate
        Depth that is found with the power that is required.
    """

    by_depth: tuple[Score, ...]
    elsewhere: tuple[Score, ...]
    smallest_depth: Estimate

    def at(self, depth: float) -> Score:
        """Return the score of worlds with lines of a depth."""
        return self.by_depth[LINE_DEPTHS.index(depth)]

    @property
    def areas(self) -> list[float]:
        """Areas under the ROC curves, of lines by depth and then of what else is planted."""
        return [score.auc.value for score in (*self.by_depth, *self.elsewhere)]

    @property
    def powers(self) -> np.ndarray:
        """Powers by depth (K,)."""
        return np.array([score.power.value for score in self.by_depth])


@dataclass(frozen=True)
class Scoreboard:
    """What was measured in each world of an ensemble.

    Parameters
    ----------
    worlds : sequence of dict
        As `lux.controls.runner.run` returns them.
    seed : int
        Of the bootstraps.
    """

    worlds: Sequence[Mapping[str, Any]]
    seed: int = 0

    @cached_property
    def cells(self) -> dict[str, list[Mapping[str, Any]]]:
        """The worlds of each cell."""
        found = defaultdict(list)
        for world in self.worlds:
            found[world["cell"]].append(world)
        return dict(found)

    @cached_property
    def techniques(self) -> dict[str, TechniqueScores]:
        """The scores of every technique."""
        return {technique: self._scores(technique) for technique in TECHNIQUES}

    def numbers(self, cell: str, key: str) -> np.ndarray:
        """Return one number of each world of a cell (n,), such as that of a technique."""
        return np.array([world[key] for world in self.cells[cell]])

    def score(self, technique: str, planted: str, without: str) -> Score:
        """Return the score of a technique in telling two cells apart."""
        numbers = self.numbers(planted, technique), self.numbers(without, technique)
        return scores.score(*numbers, seed=self.seed, shared=SHARED)

    def smallest_depth(self, technique: str, tau: float = TAUS[1]) -> Estimate:
        """Return the smallest depth that a technique finds at a scatter of europium."""
        planted = [self.numbers(depth_key(depth, tau), technique) for depth in LINE_DEPTHS]
        without = self.numbers(depth_key(0.0, tau), technique)
        return scores.smallest_depth(LINE_DEPTHS, planted, without, seed=self.seed, shared=SHARED)

    def optimal_depth(self, tau: float = TAUS[1]) -> float:
        """Return the depth that the optimal observer needs at a scatter of europium."""
        seen = np.mean(self.numbers(depth_key(LINE_DEPTHS[0], tau), "bound"))
        return LINE_DEPTHS[0] * OPTIMAL_SIGNIFICANCE / seen

    @property
    def optimal_significance(self) -> np.ndarray:
        """At how many standard deviations the optimal observer sees lines of each depth (K,)."""
        return np.array([np.mean(self.numbers(depth_key(depth), "bound")) for depth in LINE_DEPTHS])

    @property
    def star_depth(self) -> float:
        """The depth at which europium is known to its scatter in one star."""
        return LINE_DEPTHS[0] * np.mean(self.numbers(depth_key(LINE_DEPTHS[0]), "star_bound")) / TAUS[1]

    @property
    def groups(self) -> dict[str, list[Mapping[str, Any]]]:
        """The worlds by what is planted, for the audit's record; lines at the edge count twice."""
        alone = {"five-sigma", *(depth_key(depth, tau) for depth in LINE_DEPTHS for tau in TAUS)}
        lines = [world for world in self.worlds if world["cell"] in alone]
        return {
            "no line": [world for tau in TAUS for world in self.cells[depth_key(0.0, tau)]],
            "lines at 5σ or more": [world for world in lines if world["bound"] >= 5],
            "lines at about 5σ": self.cells["five-sigma"],
            "weaker lines": [world for world in lines if world["bound"] < 5],
            **{name: self.cells[name] for name in BESIDES},
            **{f"lines and {name}": self.cells[beside_key(name, DEPTH_BESIDE)] for name in BESIDES},
        }

    def _scores(self, technique: str) -> TechniqueScores:
        without = depth_key(0.0)
        by_depth = tuple(self.score(technique, depth_key(depth), without) for depth in LINE_DEPTHS)
        elsewhere = tuple(self.score(technique, cell, without) for cell in BESIDES)
        return TechniqueScores(by_depth, elsewhere, self.smallest_depth(technique))
