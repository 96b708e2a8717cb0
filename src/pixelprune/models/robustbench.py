"""An architecture of RobustBench's model zoo, for the weights that are published there.

Source: Croce et al., "RobustBench: a standardized adversarial robustness benchmark", NeurIPS 2021 (data sets and
benchmarks), arXiv:2010.09670. The package is no dependency of ours. Its networks take pixels in [0, 1] and normalize
inside.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import nn

from pixelprune import compat
from pixelprune.errors import ParamsError, PixelpruneError
from pixelprune.mistakes import near
from pixelprune.models.drawn import drawn_from
from pixelprune.models.network import NetworkOptions
from pixelprune.models.penultimate import last_linear


class RobustBench(NetworkOptions):
    name: Literal["robustbench"] = "robustbench"
    model: str = Field(description="As the model zoo calls it: Standard, Carmon2019Unlabeled, ...")
    threat: Literal["Linf", "L2", "corruptions"] = Field("Linf", description="The list of the zoo that names it.")
    dataset: Literal["cifar10", "cifar100"] = Field("cifar10", description="The zoo's, likewise.")

    def build(self, classes: int, generator: torch.Generator) -> nn.Module:
        """As `NetworkOptions.build`; the last linear layer is another where `classes` are not those of the data set.

        Raises PixelpruneError where the package is missing, ParamsError where it has no such model.
        """
        models = zoo()[self.dataset].get(self.threat, {})
        if self.model not in models:
            raise ParamsError(
                f"network robustbench: no model {self.model!r} for {self.dataset} and {self.threat}"
                f"{near(self.model, list(models))}. There is: {', '.join(models) or 'none'}."
            )
        with drawn_from(generator):
            network: nn.Module = models[self.model]["model"]()
            last = last_linear(network)
            if last.out_features != classes:
                (name,) = (name for name, module in network.named_modules() if module is last)
                network.set_submodule(name, nn.Linear(last.in_features, classes, last.bias is not None))
        return network


def zoo() -> dict[str, dict[str, dict[str, dict[str, type[nn.Module]]]]]:
    """data set -> threat -> model -> {"model": what builds it}."""
    compat.torchvision()  # which robustbench imports, and which may fail where ours knows the cure
    try:
        from robustbench.model_zoo.models import model_dicts
    except ImportError as error:
        raise PixelpruneError(
            f"network robustbench: its package cannot be imported ({error}). Install it: "
            "pip install git+https://github.com/RobustBench/robustbench, in whose README its own needs stand."
        ) from None
    return {
        data.value: {threat.value: dict(models) for threat, models in lists.items()}
        for data, lists in model_dicts.items()
    }
