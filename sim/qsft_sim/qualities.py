"""How well a scripted demonstrator works: faults of documented rates."""

from __future__ import annotations

from dataclasses import dataclass, fields
from types import MappingProxyType

from vlm_qsft.errors import InvalidSetting, UnknownName


@dataclass(frozen=True)
class Quality:
    """How well a demonstrator works; all zeros is the expert.

    Attributes:
        name: under which episodes are labelled.
        grasp_offset_m: standard deviation of a fixed error of the grasp in x and y (a third of it in z).
        action_noise: standard deviation added to each normalized move at every step (0.3 of it to turns).
        wrong_object: probability, drawn once per episode, that the demonstrator goes for an object that the
            instruction does not name.
        detour: probability, drawn once per episode, that it goes down on another object first and then turns away.
        burst: probability per step that a burst of random actions begins.
        burst_steps: length of a burst, control steps.
        pause: probability per step of doing nothing for this step.
        speed: largest normalized move per step, 0 (exclusive) to 1.
    """

    name: str
    grasp_offset_m: float = 0.0
    action_noise: float = 0.0
    wrong_object: float = 0.0
    detour: float = 0.0
    burst: float = 0.0
    burst_steps: int = 1
    pause: float = 0.0
    speed: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("wrong_object", "detour", "burst", "pause") and not 0 <= value <= 1:
                raise InvalidSetting(f"{field.name} of quality '{self.name}' is {value}: expected a probability.")
        if self.grasp_offset_m < 0 or self.action_noise < 0 or self.burst_steps < 1 or not 0 < self.speed <= 1:
            raise InvalidSetting(
                f"Quality '{self.name}': expected grasp_offset_m >= 0, action_noise >= 0, burst_steps >= 1 and "
                f"0 < speed <= 1, got {self.grasp_offset_m}, {self.action_noise}, {self.burst_steps}, {self.speed}."
            )


QUALITIES = MappingProxyType(
    {
        quality.name: quality
        for quality in (
            Quality("expert"),
            Quality("noisy", grasp_offset_m=0.012, action_noise=0.15, wrong_object=0.07, burst=0.05),
            Quality("sloppy", grasp_offset_m=0.018, action_noise=0.25, wrong_object=0.3, detour=0.4, burst=0.12),
            Quality("poor", grasp_offset_m=0.03, action_noise=0.3, wrong_object=0.2, burst=0.2),
            Quality("wandering", grasp_offset_m=0.006, action_noise=0.1, wrong_object=0.05, detour=1.0, burst=0.05),
            Quality("distracted", grasp_offset_m=0.008, action_noise=0.1, wrong_object=0.75, burst=0.03),
            Quality("slow", grasp_offset_m=0.003, action_noise=0.05, pause=0.25, speed=0.6),
        )
    }
)


def quality_named(name: str) -> Quality:
    """Return a quality.

    Raises:
        UnknownName: lists the qualities.
    """
    if name not in QUALITIES:
        raise UnknownName("demonstrator quality", name, QUALITIES)
    return QUALITIES[name]
