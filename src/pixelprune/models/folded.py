"""Batch normalization folded into the convolutions before it: in eval mode both are linear, so one layer does for two.

Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
CVPR 2018, section 3.2, arXiv:1712.05877. The arithmetic is torch's.
"""

import copy
from collections import Counter

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def folded(network: nn.Module) -> nn.Module:
    """A copy in eval mode, its weights frozen: the same function up to float32 rounding, in fewer operations.

    A network that torch.fx cannot trace is copied as it is.
    """
    twin = copy.deepcopy(network).eval().requires_grad_(False)
    try:
        graph = fx.Tracer().trace(twin)
    except Exception:  # whatever a forward raises on a stand-in for its input
        return twin
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    for node in list(graph.nodes):
        before = node.args[0] if node.args else None
        if not (isinstance(before, fx.Node) and before.op == node.op == "call_module"):
            continue
        layer, norm = twin.get_submodule(str(before.target)), twin.get_submodule(str(node.target))
        alone = len(before.users) == 1 and calls[before.target] == calls[node.target] == 1
        if alone and isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d) and not _varies(norm):
            twin.set_submodule(str(before.target), fuse_conv_bn_eval(layer, norm).requires_grad_(False))
            node.replace_all_uses_with(before)
            graph.erase_node(node)
    return fx.GraphModule(twin, graph)


def _varies(norm: nn.BatchNorm2d) -> bool:
    """Without running statistics it normalizes by the batch, in eval mode too."""
    return norm.running_mean is None
