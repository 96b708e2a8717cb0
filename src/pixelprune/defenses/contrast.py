"""How well views of one image are told from views of others: a small head on a network's features, and its loss.

Source: Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", ICML 2020, section 2.1 and
algorithm 1, arXiv:2002.05709; the loss is van den Oord et al.'s InfoNCE, arXiv:1807.03748.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


def contrastive_head(features: int, hidden: int, size: int, generator: torch.Generator) -> nn.Sequential:
    """float32 (N, features) -> (N, size), weights drawn from `generator`. In training mode it needs N > 1."""
    head = nn.Sequential(nn.Linear(features, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, size))
    for layer in head:
        if isinstance(layer, nn.Linear):
            bound = layer.in_features**-0.5
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            nn.init.zeros_(layer.bias)
    return head


def info_nce(projected: Tensor, temperature: float) -> Tensor:
    """Of V > 1 views of N images, float (V, N, D): the mean over each image's views, float (N,).

    The cross-entropy of finding, by the cosine, a view's partner among all other views. The partner is the first other
    view of the same image; with more than two views the rest of them are wrong answers, as in Mao et al.'s experiments.
    """
    views, images = projected.shape[:2]
    directions = functional.normalize(projected.flatten(0, 1), dim=1)
    itself = torch.eye(views * images, dtype=torch.bool, device=projected.device)
    alike = (directions @ directions.T / temperature).masked_fill(itself, -torch.inf)
    first = torch.arange(images, device=projected.device)
    partner = torch.cat([first + images, first.repeat(views - 1)])
    return functional.cross_entropy(alike, partner, reduction="none").view(views, images).mean(0)
