"""pi_phi and p_theta of the small model as one network with a batch of two.

The small model's own code runs unchanged; its layers and camera trunks are replaced by their fused counterparts.
"""

from __future__ import annotations

import copy

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from vlm_qsft.model.action_decoder import ActionDecoder
from vlm_qsft.model.camera_trunk import CameraTrunk
from vlm_qsft.model.robot_scorer import RobotScorer
from vlm_qsft.model.small import SmallVLM
from vlm_qsft.policy.fused_layers import FusedConv2d, FusedEmbedding, FusedLayerNorm, FusedLinear

PER_TOKEN_TABLES = ("scale", "shift")
"""Parameters that `ActionDecoder` itself holds, one row per token; `step` picks the row of its position."""


class FusedTrunk(nn.Module):
    """Two camera trunks that look at one picture.

    The first layer is the plain convolution of the raw picture with both networks' weights; what scaling to [-1, 1],
    the coordinate maps and the bias add to it is the same for every picture and computed once.
    """

    pixel_weight: Tensor
    constant: Tensor

    def __init__(self, first: CameraTrunk, second: CameraTrunk) -> None:
        super().__init__()
        entry = first.first
        self.stride, self.padding = entry.stride, entry.padding
        weight, bias = (
            torch.cat([getattr(trunk.first, name) for trunk in (first, second)]) for name in ("weight", "bias")
        )
        black = torch.cat([-torch.ones_like(first.coordinates[:, :1]).expand(-1, 3, -1, -1), first.coordinates], 1)
        self.register_buffer("pixel_weight", (weight[:, :3] / 127.5).contiguous())
        self.register_buffer("constant", F.conv2d(black, weight, bias, self.stride, self.padding))
        self.second = FusedConv2d(first.second, second.second)
        self.modulation = FusedLinear(first.modulation, second.modulation)
        self.third = FusedConv2d(first.third, second.third)
        self.fourth = FusedConv2d(first.fourth, second.fourth)

    def forward(
        self, images: UInt8[Tensor, "2 height width 3"], instruction: Float[Tensor, "2 instruction"]
    ) -> Float[Tensor, "2 feature"]:
        """Return what `CameraTrunk` of each network returns; both rows hold the same picture."""
        pixels = images[:1].permute(0, 3, 1, 2).float()
        maps = F.relu(F.conv2d(pixels, self.pixel_weight, None, self.stride, self.padding) + self.constant)
        maps = self.second(maps.view(2, -1, *maps.shape[2:]))
        scale, shift = self.modulation(instruction)[..., None, None].chunk(2, 1)
        maps = F.relu(maps * (1.0 + scale) + shift)
        return F.relu(self.fourth(F.relu(self.third(maps)))).flatten(1)


def can_fuse(first: RobotScorer, second: RobotScorer) -> bool:
    """Tell whether two scorers are small models of one architecture, vocabulary and normalisation."""
    if not (isinstance(first, SmallVLM) and isinstance(second, SmallVLM)):
        return False
    if (first.spec, first.settings, first.words) != (second.spec, second.settings, second.words):
        return False
    ours, theirs = dict(first.named_buffers()), dict(second.named_buffers())
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def fuse(first: SmallVLM, second: SmallVLM) -> SmallVLM:
    """Return one model for `start` and `next_log_probs` on batches of two.

    Row 0 is answered by `first`, row 1 by `second`. Both rows must hold the same observation and instruction; the bins
    may differ.

    Raises:
        TypeError: the architecture has a layer that this module does not know; the two must run one after the other.
    """
    fused = copy.deepcopy(first)
    _replace_layers(fused, second)
    return fused.requires_grad_(False).eval()


@torch.no_grad()
def _replace_layers(module: nn.Module, other: nn.Module) -> None:
    for name, table in list(module.named_parameters(recurse=False)):
        if not (isinstance(module, ActionDecoder) and name in PER_TOKEN_TABLES):
            raise TypeError(f"{type(module).__name__}.{name} is a parameter that cannot be fused.")
        setattr(module, name, nn.Parameter(torch.stack([table, other.get_parameter(name)], 1)))
    for name, layer in list(module.named_children()):
        partner = other.get_submodule(name)
        if isinstance(layer, nn.Linear) and isinstance(partner, nn.Linear):
            setattr(module, name, FusedLinear(layer, partner))
        elif isinstance(layer, CameraTrunk) and isinstance(partner, CameraTrunk):
            setattr(module, name, FusedTrunk(layer, partner))
        elif isinstance(layer, nn.Conv2d) and isinstance(partner, nn.Conv2d):
            setattr(module, name, FusedConv2d(layer, partner))
        elif isinstance(layer, nn.LayerNorm) and isinstance(partner, nn.LayerNorm):
            setattr(module, name, FusedLayerNorm(layer, partner))
        elif isinstance(layer, nn.Embedding) and isinstance(partner, nn.Embedding):
            setattr(module, name, FusedEmbedding(layer, partner))
        else:
            _replace_layers(layer, partner)
