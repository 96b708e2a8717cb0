"""The smallest eps at which the ladder breaks each image, under the run's own access: accuracy at every radius."""

from collections.abc import Mapping

import numpy as np
import pandas

from pixelprune import cli
from pixelprune.attacks.attack import Attack
from pixelprune.attacks.in_turn import InTurn
from pixelprune.attacks.minimal import smallest_eps
from pixelprune.attacks.narrowing import Budget
from pixelprune.attacks.threat import Threat
from pixelprune.draws import Draws
from pixelprune.harness.accesses import Access
from pixelprune.harness.ladder import Batch, chunks, searched

STEPS = 32
"""Radii that are told apart, up to the largest eps of a threat."""


def measure(
    batch: Batch, access: Access, threats: Mapping[str, Threat], ladder: Mapping[str, Attack], seed: int
) -> pandas.DataFrame:
    """A row an image x threat: image, label, group, access, threat, norm, largest (eps tried), radius, passes.

    radius: 0 for an image that is wrong as it is, inf for one that stands at the largest eps.
    """
    attack = InTurn(tuple(ladder.values()))
    parts = [(key, chunk) for key in threats for chunk in chunks(batch.images)]
    tables = []
    for key, index in cli.progress(parts, f"smallest eps, {access.name}"):
        ball, rows, spent = threats[key].ball(max(threats[key].eps)), index.cpu().numpy(), Budget(len(batch))
        draws = Draws.of(batch.ids[rows], seed, "smallest eps", key, device=index.device)
        radius, _ = smallest_eps(
            attack, searched(access, index, spent), batch.images[index], batch.labels[index],
            ball=ball, mask=access.mask[index], draws=draws, resolution=ball.eps / STEPS,
        )  # fmt: skip
        tables.append(pandas.DataFrame({
            "image": batch.ids[rows], "label": batch.labels[index].cpu().numpy(), "group": batch.groups[rows],
            "access": access.name, "threat": key, "norm": ball.norm, "largest": ball.eps,
            "radius": radius.cpu().numpy().astype(np.float64),
            "forward": spent.forward[index.cpu()].numpy(), "backward": spent.backward[index.cpu()].numpy(),
        }))  # fmt: skip
    return pandas.concat(tables, ignore_index=True)
