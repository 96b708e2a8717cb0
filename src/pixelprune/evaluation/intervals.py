"""Rates and differences that cannot be printed without their interval and n.

**Source:** C. Clopper and E. Pearson, The use of confidence or fiducial limits illustrated in the case of the binomial,
Biometrika 26 (1934): coverage is at least the level for every true share and every n.
"""

from dataclasses import dataclass

from scipy.special import betaincinv


def clopper_pearson(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """The exact two-sided interval of a share, within [0, 1]. Needs 0 <= successes <= n and n >= 1."""
    if not 0 <= successes <= n or n < 1 or not 0 < level < 1:
        raise ValueError(f"needs 0 <= successes <= n, n >= 1 and 0 < level < 1, found {successes}, {n}, {level}")
    tail = (1 - level) / 2
    low = 0.0 if successes == 0 else float(betaincinv(successes, n - successes + 1, tail))
    high = 1.0 if successes == n else float(betaincinv(successes + 1, n - successes, 1 - tail))
    return low, high


@dataclass(frozen=True)
class Rate:
    """A share of n images, taken as independent."""

    successes: int
    n: int

    def __post_init__(self) -> None:
        if not 0 <= self.successes <= self.n or self.n < 1:
            raise ValueError(f"needs 0 <= successes <= n and n >= 1, found {self.successes} of {self.n}")

    @property
    def share(self) -> float:
        return self.successes / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """Clopper-Pearson, 95 %."""
        return clopper_pearson(self.successes, self.n)

    def __str__(self) -> str:
        """As "53.1 % [48.6, 57.5], n = 500"."""
        return f"{self.brief}, n = {self.n}"

    @property
    def brief(self) -> str:
        """Without n, for a table whose heading states it: "53.1 % [48.6, 57.5]"."""
        low, high = self.interval
        return f"{percent(self.share)} % [{percent(low)}, {percent(high)}]"


@dataclass(frozen=True)
class Estimate:
    """A difference of shares (or a mean of per-image values) with its interval; all in [-1, 1].

    n images; seeds > 1: the interval also covers the choice of the training seed.
    """

    value: float
    low: float
    high: float
    n: int
    seeds: int = 1

    @property
    def interval(self) -> tuple[float, float]:
        return self.low, self.high

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        """As "+3.2 pt [+1.0, +5.4], n = 500" or "..., n = 500 x 3 seeds"."""
        return f"{self.brief}, n = {self.n}" + (f" x {self.seeds} seeds" if self.seeds > 1 else "")

    @property
    def brief(self) -> str:
        """Without n, for a table whose heading states it: "+3.2 pt [+1.0, +5.4]"."""
        return f"{points(self.value)} pt [{points(self.low)}, {points(self.high)}]"


def percent(share: float) -> str:
    """0.5312 -> "53.1"."""
    return f"{100 * share:.1f}"


def points(difference: float) -> str:
    """0.0312 -> "+3.1", -0.02 -> "-2.0", nothing -> "0.0"."""
    text = f"{100 * difference:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text
