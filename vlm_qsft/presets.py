"""Named sizes of the whole way from recording to report. A preset holds only what presets set differently.

Everything else has one value, which is the default of the settings that the field goes to. Loads nothing but the
standard library, so that the command line can list presets at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType

from vlm_qsft.errors import InvalidSetting, UnknownName


@dataclass(frozen=True)
class RecordingPreset:
    """What is recorded.

    Attributes:
        task: task of the simulator.
        episodes: number of episodes.
        quality_shares: (demonstrator's quality, share of the episodes), the shares adding up to 1.
        image_size: height and width of every camera's picture, pixels.
    """

    task: str
    episodes: int
    quality_shares: tuple[tuple[str, float], ...]
    image_size: int

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            InvalidSetting: a number outside its range, or shares that do not add up to 1.
        """
        _require(self.episodes >= 2, f"episodes must be at least 2 (one is held out); got {self.episodes}")
        _require(self.image_size >= 16, f"image_size must be at least 16 pixels; got {self.image_size}")
        total = math.fsum(share for _, share in self.quality_shares)
        _require(math.isclose(total, 1.0), f"quality_shares must add up to 1; got {total:g}")


@dataclass(frozen=True)
class ModelPreset:
    """How large the small offline model is.

    Attributes:
        channels: feature maps of the convolutional trunk.
        width: width of the fused features and of the action decoder.
        layers: residual layers of the action decoder.
    """

    channels: int
    width: int
    layers: int


@dataclass(frozen=True)
class PhasePreset:
    """How long and how one phase is trained.

    Attributes:
        steps: optimiser steps.
        batch_size: frames per optimiser step.
        learning_rate: its peak.
        augmentation: largest random shift of the pictures, pixels.
        colour_jitter: standard deviation of random factors on the colour channels.
        validation_fraction: share of the episodes held out; of few episodes it takes more, so that one is a success.
        patience: evaluations without a better held-out NLL after which a behavior policy stops; 0 never stops it.
    """

    steps: int
    batch_size: int
    learning_rate: float
    augmentation: int
    colour_jitter: float
    validation_fraction: float = 0.05
    patience: int = 0

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            InvalidSetting: a number outside its range.
        """
        _require(self.steps >= 1, f"steps must be at least 1; got {self.steps}")
        _require(self.batch_size >= 1, f"batch_size must be at least 1; got {self.batch_size}")


@dataclass(frozen=True)
class ExtractionPreset:
    """One setting of a policy that is tried on the tuning scenes.

    Attributes:
        extraction: "sft" (pi_phi alone), "ratio", "likelihood", "power" or "single".
        temperature: temperature on pi_phi, or on p_theta for "single"; 0 is greedy.
        inverse_temperature: weight of the Q-values, for "ratio" and "likelihood"; exponent, for "power".
        support: multiple of the uniform probability that a bin needs to compete; 0 lets every bin compete.
    """

    extraction: str
    temperature: float
    inverse_temperature: float = 0.0
    support: float = 0.3


@dataclass(frozen=True)
class EvaluationPreset:
    """How policies are compared.

    Attributes:
        episodes: paired evaluation episodes per policy.
        tuning_episodes: paired episodes per tried setting, on scenes of their own.
        counterfactual_scenes: scenes that are shown under two instructions.
        sft: settings tried for SFT and for SFT on successes.
        qsft: settings tried for Q-SFT.
    """

    episodes: int
    tuning_episodes: int
    counterfactual_scenes: int
    sft: tuple[ExtractionPreset, ...]
    qsft: tuple[ExtractionPreset, ...]

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            InvalidSetting: a number outside its range, or nothing to try.
        """
        for name in ("episodes", "tuning_episodes", "counterfactual_scenes"):
            _require(getattr(self, name) >= 1, f"{name} must be at least 1; got {getattr(self, name)}")
        _require(bool(self.sft and self.qsft), "every policy needs at least one setting to try")


@dataclass(frozen=True)
class DemoPreset:
    """The whole way in one size.

    Attributes:
        name: as users write it.
        purpose: one line for `qsft demo --help`.
        recording, model, evaluation: the stages.
        behavior, q, sft_success: the three trainings; one budget means the same steps and batch.
        seed: of the recording's mixture and of every training.
    """

    name: str
    purpose: str
    recording: RecordingPreset
    model: ModelPreset
    behavior: PhasePreset
    q: PhasePreset
    sft_success: PhasePreset
    evaluation: EvaluationPreset
    seed: int = 0


def preset_named(name: str) -> DemoPreset:
    """Return a preset.

    Raises:
        UnknownName: lists the presets.
    """
    if name not in PRESETS:
        raise UnknownName("preset", name, PRESETS)
    return PRESETS[name]


def _require(holds: bool, problem: str) -> None:
    if not holds:
        raise InvalidSetting(f"{problem}.")


def _sft(*temperatures: float) -> tuple[ExtractionPreset, ...]:
    return tuple(ExtractionPreset("sft", temperature, support=0.0) for temperature in temperatures)


def _single(*temperatures: float) -> tuple[ExtractionPreset, ...]:
    return tuple(ExtractionPreset("single", temperature) for temperature in temperatures)


# Most demonstrators go for a wrong object or miss: about a quarter of the episodes succeeds.
_MEDIOCRE = (("expert", 0.05), ("distracted", 0.80), ("poor", 0.15))
_SMOKE_PHASE = PhasePreset(
    steps=30, batch_size=32, learning_rate=1e-3, augmentation=2, colour_jitter=0.1, validation_fraction=0.25
)
# Small batches: at equal cost twice the steps of half the frames give a better policy.
_DEMO_PHASE = PhasePreset(steps=3000, batch_size=64, learning_rate=1e-3, augmentation=0, colour_jitter=0.12)
_GPU_PHASE = PhasePreset(steps=12000, batch_size=512, learning_rate=6e-4, augmentation=6, colour_jitter=0.12)

PRESETS = MappingProxyType(
    {
        preset.name: preset
        for preset in (
            DemoPreset(
                name="smoke",
                purpose="every stage once, in under two minutes on two cores; its success rates mean nothing",
                recording=RecordingPreset("pick", 24, _MEDIOCRE, 64),
                model=ModelPreset(channels=8, width=32, layers=1),
                behavior=_SMOKE_PHASE,
                q=_SMOKE_PHASE,
                sft_success=_SMOKE_PHASE,
                evaluation=EvaluationPreset(
                    episodes=4,
                    tuning_episodes=2,
                    counterfactual_scenes=2,
                    sft=_sft(1.0, 0.5),
                    qsft=(*_single(0.5), ExtractionPreset("ratio", 0.5, 4.0)),
                ),
            ),
            DemoPreset(
                name="demo",
                purpose="mediocre logs to a better policy in at most 30 minutes on two cores and 8 GB",
                recording=RecordingPreset("pick", 2000, _MEDIOCRE, 64),
                model=ModelPreset(channels=64, width=256, layers=2),
                behavior=_DEMO_PHASE,
                q=_DEMO_PHASE,
                sft_success=_DEMO_PHASE,
                evaluation=EvaluationPreset(
                    episodes=200,
                    tuning_episodes=40,
                    counterfactual_scenes=40,
                    sft=_sft(0.7, 0.5, 0.3),
                    qsft=(
                        *_single(0.5, 0.3, 0.15),
                        ExtractionPreset("ratio", 0.5, 16.0),
                    ),
                ),
            ),
            DemoPreset(
                name="gpu",
                purpose="more episodes, larger pictures and a larger model, for one GPU and many cores",
                recording=RecordingPreset("pick", 10000, _MEDIOCRE, 128),
                model=ModelPreset(channels=128, width=512, layers=4),
                behavior=_GPU_PHASE,
                q=_GPU_PHASE,
                sft_success=_GPU_PHASE,
                evaluation=EvaluationPreset(
                    episodes=400,
                    tuning_episodes=100,
                    counterfactual_scenes=100,
                    sft=_sft(1.0, 0.7, 0.5, 0.3, 0.1),
                    qsft=(
                        *_single(0.7, 0.5, 0.3),
                        *(ExtractionPreset("ratio", t, b) for t in (0.5, 0.3) for b in (4.0, 16.0)),
                    ),
                ),
            ),
        )
    }
)
