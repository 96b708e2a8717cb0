"""A Gaussian of independent weights, learned by the evidence lower bound.

Sources: Blundell et al., "Weight Uncertainty in Neural Networks", ICML 2015, section 3.2, arXiv:1505.05424, with a
Gaussian prior, whose divergence is known in closed form; Kingma et al., "Variational Dropout and the Local
Reparameterization Trick", NeurIPS 2015, section 2.3, arXiv:1506.02557.
"""

from torch import Tensor
from torch.nn import functional


def raw(deviation: Tensor) -> Tensor:
    """What softplus turns into these deviations, which are positive."""
    return deviation + (-(-deviation).expm1()).log()


def divergence(mean: Tensor, deviation: Tensor, prior: float | Tensor) -> Tensor:
    """The Kullback-Leibler divergence of N(mean, deviation^2) from N(0, prior^2), summed over all weights."""
    ratio = (deviation / prior) ** 2
    return 0.5 * (ratio + (mean / prior) ** 2 - 1 - ratio.log()).sum()


def local(features: Tensor, mean: Tensor, deviation: Tensor, noise: Tensor) -> Tensor:
    """Outputs (N, K) of features (N, D), each by its own draw of the weights (K, D); noise: standard normal (N, K).

    Outputs of one image are independent of each other, as the weights are, so this is their very distribution.
    """
    variance = functional.linear(features**2, deviation**2)
    return functional.linear(features, mean) + variance.clamp(min=1e-12).sqrt() * noise
