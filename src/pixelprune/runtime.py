"""What a stage decides about the machine it runs on: device, number format, memory layout, allocator.

Rules look at what the hardware declares, never at a stopwatch: results must not depend on the load.
"""

import ctypes
import os
import sys

import torch
from torch import nn

from pixelprune import parallel

BLOCK = 16
"""Channels that oneDNN takes at a time with the widest registers; 8 with AVX2."""


def device() -> torch.device:
    """The accelerator where there is one, this process's own where several share a stage; else the processor."""
    return torch.device("cuda", parallel.local_rank()) if torch.cuda.is_available() else torch.device("cpu")


def computes_bfloat16(target: torch.device) -> bool:
    """True where bfloat16 convolutions run on hardware of their own, so that training in them pays."""
    if target.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported()


def channels_last(network: nn.Module) -> nn.Module:
    """The network with the weights of its convolutions stored pixel by pixel: faster where channels are many.

    Convolutions of one pixel that skip others and read fewer than BLOCK channels keep the other layout: in this one the
    gradient of their weights is wrong on processors without AVX-512, and memory is overwritten (oneDNN's issue 6035).
    """
    for module in network.modules():
        layout = torch.channels_last
        if (
            isinstance(module, nn.Conv2d)
            and module.kernel_size == (1, 1) != module.stride
            and module.in_channels < BLOCK
        ):
            layout = torch.contiguous_format
            if _contiguous not in module._forward_pre_hooks.values():
                module.register_forward_pre_hook(_contiguous)
        for weight in module.parameters(recurse=False):
            if weight.dim() == 4:
                weight.data = weight.data.contiguous(memory_format=layout)
    return network


def _contiguous(module: nn.Module, inputs: tuple[torch.Tensor]) -> torch.Tensor:
    return inputs[0].contiguous()


def prepare() -> None:
    """Called once by a stage that computes: fixed threads, and memory that stays with the process.

    A thread a core, or as many as OMP_NUM_THREADS says: other work that keeps a core busy makes every step wait for it.
    Processes that share a stage share the cores, whatever it says: torchrun sets it to 1 by itself.

    glibc gives blocks of more than 32 MB back to the system at once, and every training step faults them in again.
    """
    processes = parallel.on_this_machine()
    if processes > 1 or "OMP_NUM_THREADS" not in os.environ:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        torch.set_num_threads(max(cores // processes, 1))
    # Two threads that call MKL's vector mathematics for the first time at once race (torch 2.13): one of them may get
    # a coarser exp for that call, and attacks then differ from run to run. So its first call is made by one thread.
    torch.zeros(1).exp()
    torch.backends.cudnn.allow_tf32 = False  # a float32 verdict is one in float32; what may be coarse is in bfloat16
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    if sys.platform == "linux":
        trim_threshold, mmap_max = -1, -4
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(mmap_max, 0)
            mallopt(trim_threshold, 2**31 - 1)
