"""What a phase is trained with: chosen by presets and the user, stored beside the phase. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from vlm_qsft.errors import InvalidSetting, UnknownName
from vlm_qsft.settings_record import settings_from_json

Phase = Literal["behavior", "q"]
Weights = Literal["all", "successes"]
Strategy = Literal["uniform", "quantile"]

LARGEST_COUNT = 2**31 - 1  # beyond it what lies underneath counts no more; as a number of steps it is a slip
LARGEST_SEED = 2**32 - 1  # NumPy's
LARGEST_N_BINS = 65_536  # a 16-bit encoder's; a row of the model stands for every bin
LARGEST_CHUNK = 1_000  # control steps; a token of the model stands for every dimension of each
DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "float32", "bfloat16")
BEHAVIOR_ONLY = frozenset({"patience"})
OPTIMIZERS = ("adamw", "muon")
METHODS = ("qsft", "monte_carlo", "ilql", "cql")
Q_ONLY = frozenset(
    {"method", "gamma", "backup", "remainder", "target_update_rate", "n_step", "support", "priority_share"}
)


@dataclass(frozen=True)
class TokenSettings:
    """How actions become tokens; what `ActionTokenizer.fit` is called with.

    Attributes:
        n_bins: bins per action dimension.
        strategy: "uniform" or "quantile" bins.
        chunk: control steps per decision.
        gripper: names of the action dimensions that are grippers.
        limits: (name, low, high) of the dimensions whose range is given instead of measured, physical units.
    """

    n_bins: int = 256
    strategy: Strategy = "uniform"
    chunk: int = 1
    gripper: tuple[str, ...] = ()
    limits: tuple[tuple[str, float, float], ...] = ()

    def __post_init__(self) -> None:
        """Validate everything that needs no data.

        Raises:
            InvalidSetting: a number outside its range.
            UnknownName: a strategy that does not exist.
        """
        for name, least, most in (("n_bins", 2, LARGEST_N_BINS), ("chunk", 1, LARGEST_CHUNK)):
            if not least <= getattr(self, name) <= most:
                raise InvalidSetting(f"{name} must lie in [{least}, {most}]; got {getattr(self, name)}.")
        if self.strategy not in get_args(Strategy):
            raise UnknownName("bin strategy", self.strategy, get_args(Strategy))

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return {**asdict(self), "gripper": list(self.gripper), "limits": [list(limit) for limit in self.limits]}


@dataclass(frozen=True)
class TrainSettings:
    """How one phase is trained. Both phases and every baseline share it.

    Attributes:
        steps: optimiser steps.
        batch_size: frames of one optimiser step, whatever `accumulation` is.
        learning_rate: its peak; a warm-up leads to it and a cosine from it to 0.
        optimizer: "adamw", or "muon": Muon for hidden matrices, AdamW for the rest, at the same learning rate.
        weight_decay: decoupled from the gradient, on matrices only, and not on rows of parts (`composed_rows`).
        warmup_fraction: share of the steps in which the learning rate rises linearly.
        accumulation: pieces into which a batch is cut so that it fits into memory; changes no result.
        eval_every: optimiser steps between evaluations on held-out episodes.
        save_every: optimiser steps between checkpoints.
        patience: evaluations without a better held-out NLL after which the behavior phase stops; its weights
            are then those of the best evaluation. 0 never stops it and keeps the last weights.
        gamma: discount per control step, for returns and backups.
        method: "qsft", or the critic that is trained in the place of p_theta, one of
            `vlm_qsft.qsft.critics.CRITICS`: it has its own backup, and no remainder.
        backup: name of the Bellman backup, one of `vlm_qsft.qsft.BACKUPS`.
        remainder: where 1 - target goes: "dummy" or "uniform" (as printed).
        target_update_rate: share of the online weights that enters the target network at every step.
        n_step: control steps before bootstrapping, for the backups that use them.
        support: a bin competes in a maximum if pi_phi of it is at least support / n_bins.
        priority_share: part of every batch that is drawn in proportion to the frames' returns, with importance weights
            that keep the expected loss the same; 0 draws every frame alike.
        augmentation: largest random shift of the pictures, pixels; 0 for none.
        colour_jitter: standard deviation of random factors on the colour channels of a frame's pictures; 0 for none.
        validation_fraction: share of the episodes held out.
        validation_frames: at most so many frames of them are evaluated each time.
        seed: of the weights, the split, the order and the augmentation.
        device: "cpu", "cuda" (the first that CUDA_VISIBLE_DEVICES leaves), or "auto": the GPU where there is one.
        precision: "float32", "bfloat16" (autocast; log-probabilities stay float32), or "auto": bfloat16 on GPUs
            that have it.
    """

    steps: int
    batch_size: int = 128
    learning_rate: float = 6e-4
    optimizer: str = "adamw"
    weight_decay: float = 1e-2
    warmup_fraction: float = 0.1
    accumulation: int = 1
    eval_every: int = 200
    save_every: int = 200
    patience: int = 0
    gamma: float = 0.97
    method: str = "qsft"
    backup: str = "monte_carlo"
    remainder: str = "dummy"
    target_update_rate: float = 0.005
    n_step: int = 5
    support: float = 0.3
    priority_share: float = 0.7
    augmentation: int = 0
    colour_jitter: float = 0.0
    validation_fraction: float = 0.05
    validation_frames: int = 2048
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        """Validate everything that needs neither torch nor data.

        Raises:
            InvalidSetting: a number outside its range.
            UnknownName: a method, optimiser, precision or device that does not exist.
        """
        at_least = {
            "steps": 1, "batch_size": 1, "accumulation": 1, "eval_every": 1, "save_every": 1, "patience": 0,
            "n_step": 1, "augmentation": 0, "validation_frames": 1, "seed": 0,
        }  # fmt: skip
        for name, least in at_least.items():
            number = getattr(self, name)
            if not isinstance(number, int) or isinstance(number, bool) or number < least:
                raise InvalidSetting(f"{name} must be a whole number of at least {least}; got {number!r}.")
            most = LARGEST_SEED if name == "seed" else LARGEST_COUNT
            if number > most:
                raise InvalidSetting(f"{name} must be at most {most}; got {number}.")
        ranges = {
            "weight_decay": (0.0, 1.0), "warmup_fraction": (0.0, 1.0), "gamma": (0.0, 1.0),
            "target_update_rate": (0.0, 1.0), "support": (0.0, 1.0), "colour_jitter": (0.0, 0.5),
        }  # fmt: skip
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise InvalidSetting(f"{name} must lie in [{low:g}, {high:g}]; got {getattr(self, name)!r}.")
        if not 0.0 < self.learning_rate < float("inf"):
            raise InvalidSetting(f"learning_rate must be above 0; got {self.learning_rate!r}.")
        if not 0.0 < self.validation_fraction < 1.0:
            raise InvalidSetting(f"validation_fraction must lie in (0, 1); got {self.validation_fraction!r}.")
        if not 0.0 <= self.priority_share < 1.0:
            raise InvalidSetting(f"priority_share must lie in [0, 1); got {self.priority_share!r}.")
        if self.batch_size % self.accumulation:
            raise InvalidSetting(
                f"accumulation must divide batch_size: {self.batch_size} frames cannot be cut into "
                f"{self.accumulation} equal pieces."
            )
        if self.method not in METHODS:
            raise UnknownName("method", self.method, METHODS)
        if self.optimizer not in OPTIMIZERS:
            raise UnknownName("optimizer", self.optimizer, OPTIMIZERS)
        if self.precision not in PRECISIONS:
            raise UnknownName("precision", self.precision, PRECISIONS)
        if self.device not in DEVICES:
            raise UnknownName("device", self.device, DEVICES)

    @property
    def micro_batch_size(self) -> int:
        """Frames that are in memory at a time."""
        return self.batch_size // self.accumulation

    def compared(self, phase: Phase) -> dict[str, Any]:
        """Return what must be the same when `phase` is resumed: the fields that change its result."""
        foreign = Q_ONLY if phase == "behavior" else BEHAVIOR_ONLY
        return {name: value for name, value in asdict(self).items() if name not in foreign}

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> TrainSettings:
        """Rebuild settings from `to_json`; raises as `settings_from_json`."""
        return settings_from_json(cls, document, what="train setting")
