"""The target network p_bar: a Polyak average of p_theta that bootstrapped targets are read from."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from vlm_qsft.errors import CheckpointError, InvalidSetting, ShapeMismatch


@torch.no_grad()
def polyak_update(target: nn.Module, online: nn.Module, target_update_rate: float) -> None:
    """Move the target's parameters towards the online ones in place; copy the buffers.

        target <- target + target_update_rate * (online - target)

    Parameters that the online network does not train are left alone: they are equal from the start, or shared.

    Args:
        target_update_rate: share taken from the online network, in (0, 1]; 1 copies.

    Raises:
        InvalidSetting: the rate lies outside (0, 1], or a trained parameter has half precision, where a small step
            rounds to none and the target would never move.
        ShapeMismatch: the two networks do not have the same parameters.
    """
    if not 0.0 < target_update_rate <= 1.0:
        raise InvalidSetting(f"target_update_rate is {target_update_rate}; expected a number in (0, 1].")
    target_parameters = dict(target.named_parameters())
    for name, parameter in online.named_parameters():
        if not parameter.requires_grad:
            continue
        averaged = target_parameters.get(name)
        if averaged is None or averaged.shape != parameter.shape:
            found = "nothing" if averaged is None else str(tuple(averaged.shape))
            raise ShapeMismatch(f"Target network has {found} for '{name}'; expected {tuple(parameter.shape)}.")
        if target_update_rate < 1.0 and averaged.dtype in (torch.bfloat16, torch.float16):
            raise InvalidSetting(
                f"'{name}' is {averaged.dtype}: a Polyak step of {target_update_rate} rounds to none. "
                "Keep trained parameters in float32 (mixed precision casts them where it pays)."
            )
        averaged.lerp_(parameter.to(averaged.device), target_update_rate)
    for averaged, buffer in zip(target.buffers(), online.buffers(), strict=True):
        averaged.copy_(buffer)


class TargetNetwork[Network: nn.Module]:
    """Holds p_bar: a copy of the online network in evaluation mode that never takes a gradient.

    Parameters that are frozen in the online network (adapters on a frozen trunk) are shared with it, not copied.

    Attributes:
        module: the averaged network; call it under `torch.no_grad()`.
        target_update_rate: see `polyak_update`.
    """

    def __init__(self, online: Network, target_update_rate: float) -> None:
        """Copy the online network.

        Raises:
            InvalidSetting: see `polyak_update`.
        """
        if not 0.0 < target_update_rate <= 1.0:
            raise InvalidSetting(f"target_update_rate is {target_update_rate}; expected a number in (0, 1].")
        shared = {id(parameter): parameter for parameter in online.parameters() if not parameter.requires_grad}
        self.module: Network = copy.deepcopy(online, memo=dict(shared)).eval().requires_grad_(False)
        self.target_update_rate = target_update_rate
        self._shared = {name for name, parameter in self.module.named_parameters() if id(parameter) in shared}

    def update(self, online: Network) -> None:
        """Average once; call it after every optimiser step.

        Raises:
            InvalidSetting, ShapeMismatch: see `polyak_update`.
        """
        polyak_update(self.module, online, self.target_update_rate)

    def state_dict(self) -> dict[str, Tensor]:
        """Return what belongs to the target alone, by name: a resumed run needs it, or its targets jump."""
        owned = {name: p.detach() for name, p in self.module.named_parameters() if name not in self._shared}
        return owned | {name: buffer.detach() for name, buffer in self.module.named_buffers()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state_dict` returned.

        Raises:
            CheckpointError: names or shapes differ; nothing is changed then.
        """
        load_tensors(self.state_dict(), state, source="The state of the target network")


def load_tensors(own: Mapping[str, Tensor], stored: Mapping[str, Tensor], *, source: str) -> None:
    """Copy stored tensors into those of the same name, in place.

    Args:
        source: where they were stored, for the error.

    Raises:
        CheckpointError: names or shapes differ; nothing is changed then.
    """
    differing = sorted(
        name
        for name in own.keys() | stored.keys()
        if name not in own or name not in stored or own[name].shape != stored[name].shape
    )
    if differing:
        raise CheckpointError(
            f"{source} does not fit this model: {len(differing)} tensors are missing, unknown or of another shape, "
            f"first '{differing[0]}'. Train into another folder."
        )
    for name, tensor in own.items():
        tensor.copy_(stored[name])
