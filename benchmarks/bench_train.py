"""A step of the Q phase against a step of SFT on the same batch, taken apart; and what Trainer adds to a step.

    python benchmarks/bench_train.py --out runs/bench/train.json

The model and the batch are those of the demo: the small model, two 64 x 64 cameras, five 256-bin tokens, 128 frames.
On a CPU the times are process CPU time with one thread, so that other work on the machine counts little; on a GPU they
are wall time between synchronisations. Every round times SFT and all backups in turn.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from vlm_qsft.cli.provenance import provenance
from vlm_qsft.data import DatasetReader, DatasetSchema, Episode, LabelSettings, binary01_reward, write_episodes
from vlm_qsft.model.build import build_scorer
from vlm_qsft.model.settings import ModelSettings
from vlm_qsft.model.state_statistics import StateStatistics
from vlm_qsft.qsft import BACKUPS
from vlm_qsft.training.behavior_trainer import BehaviorTrainer
from vlm_qsft.training.dataset import FrameDataset, FrameSource
from vlm_qsft.training.device import resolve_device, resolve_precision
from vlm_qsft.training.frame_table import read_frame_table
from vlm_qsft.training.phase_data import fit_tokenizer, frame_source
from vlm_qsft.training.phases import frame_transitions
from vlm_qsft.training.q_columns import build_q_columns
from vlm_qsft.training.q_trainer import QTrainer, likelihood_model
from vlm_qsft.training.sampler import BatchRequest
from vlm_qsft.training.settings import TokenSettings, TrainSettings
from vlm_qsft.training.splits import split_frames
from vlm_qsft.training.trainer import TokenTrainer
from vlm_qsft.training.training_arguments import LOG_EVERY, MAX_GRAD_NORM

SIZE = (64, 64)
FRAMES_PER_EPISODE, EPISODES = 40, 24
SHIFT_PIXELS = 4
SCHEMA = DatasetSchema(
    {"front": SIZE, "wrist": SIZE},
    tuple(f"state_{number}" for number in range(12)),
    ("dx", "dy", "dz", "dyaw", "gripper"),
    Fraction(5),
    robot_type="benchmark",
)
SFT = "sft"
WARM_UP_STEPS = 2
OVERHEAD_STEPS = 60
DEMO_MODEL = ModelSettings(image_size=SIZE)
TINY_MODEL = ModelSettings(image_size=(16, 16), channels=8, width=16, layers=1)
"""What Trainer adds does not depend on the model: on one that costs almost nothing it can be measured exactly."""
Clock = Callable[[], float]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark, print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/bench/train.json"), help="JSON file to write")
    parser.add_argument("--rounds", type=int, default=8, help="timed steps of each kind")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--device", default="auto")
    chosen = parser.parse_args(arguments)
    result = run(rounds=chosen.rounds, batch_size=chosen.batch_size, device_name=chosen.device) | provenance()
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=2) + "\n")
    for name, step in result["steps"].items():
        parts = "  ".join(f"{part} {ms:.1f}" for part, ms in step["parts_ms"].items())
        print(f"{name:<12} {step['step_ms']:7.1f} ms  {step['ratio_to_sft']:.2f} x SFT   {parts}")
    for name, overhead in result["trainer_overhead"].items():
        print(f"Trainer adds {overhead['added_ms']:.2f} ms, {overhead['share']:.1%}, to a step of {name}")
    print(chosen.out)
    return 0


def run(*, rounds: int = 8, batch_size: int = 128, device_name: str = "auto", seed: int = 0) -> dict[str, Any]:
    """Return milliseconds per step and part, for SFT and every backup with the dummy remainder."""
    device = resolve_device(device_name)
    precision = resolve_precision("auto", device)
    threads = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    clock = measuring_clock(device)
    settings = TrainSettings(
        steps=rounds + WARM_UP_STEPS, batch_size=batch_size, eval_every=10**6, save_every=10**6,
        augmentation=SHIFT_PIXELS, validation_frames=1, validation_fraction=0.1, seed=seed, device=device_name,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        trainers = build_trainers(Path(folder) / "demo", DEMO_MODEL, settings, device, precision, StepClock(clock))
        times = bare_steps(trainers, settings, device, precision, clock)
        steps = {name: summary(parts) for name, parts in times.items()}
        tiny = replace(settings, steps=OVERHEAD_STEPS, batch_size=2)
        step_ends = StepClock(clock)
        tiny_trainers = build_trainers(Path(folder) / "tiny", TINY_MODEL, tiny, device, precision, step_ends)
        overhead = {}
        for name in (SFT, "monte_carlo", "nstep"):
            trainer = tiny_trainers[name]
            bare = bare_steps({name: trainer}, tiny, device, precision, clock)[name]
            added_ms = trainer_step_ms(trainer, step_ends) - mean_step_ms(bare)
            overhead[name] = {"added_ms": added_ms, "share": added_ms / (added_ms + steps[name]["step_ms"])}
    torch.set_num_threads(threads)
    for step in steps.values():
        step["ratio_to_sft"] = step["step_ms"] / steps[SFT]["step_ms"]
    return {
        "settings": {"rounds": rounds, "batch_size": batch_size, "seed": seed, "precision": precision},
        "parameters": sum(parameter.numel() for parameter in network(trainers[SFT]).parameters()),
        "clock": "process CPU time, one thread" if device.type == "cpu" else "wall time",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "steps": steps,
        "trainer_overhead": overhead,
    }


def build_trainers(
    folder: Path,
    model: ModelSettings,
    settings: TrainSettings,
    device: torch.device,
    precision: str,
    step_ends: StepClock,
) -> dict[str, TokenTrainer]:
    """Return the trainer of SFT and one of the Q phase for every backup, all on the same data and start weights."""
    labels = LabelSettings("binary01", settings.gamma, "script")
    write_episodes(folder / "data", SCHEMA, list(range(EPISODES)), made_episode, labels=labels)
    reader = DatasetReader(folder / "data")
    tokenizer = fit_tokenizer(reader, TokenSettings(gripper=("gripper",)))
    table = read_frame_table(reader, tokenizer, gamma=settings.gamma)
    torch.manual_seed(settings.seed)
    statistics_of_state = StateStatistics.from_states(table.state)
    behavior = build_scorer(model, SCHEMA, tokenizer, table.instructions, statistics_of_state)
    source = frame_source(reader, behavior, table, folder / "cache", workers=1, progress=None)
    splits = split_frames(table, settings, weights="all")

    def shared(name: str, source: FrameSource, columns: Any = None) -> dict[str, Any]:
        return {
            "train_frames": FrameDataset(source, splits.train, q_columns=columns),
            "validation_frames": FrameDataset(source, splits.validation, q_columns=columns),
            "out": folder / name,
            "device": device,
            "precision": precision,
            "progress": step_ends,
        }

    trainers: dict[str, TokenTrainer] = {
        SFT: BehaviorTrainer(copy.deepcopy(behavior), phase="behavior", settings=settings, **shared(SFT, source))
    }
    for name in BACKUPS:
        of_backup = replace(settings, backup=name)
        columns = build_q_columns(
            behavior,
            source,
            frame_transitions(table, of_backup),
            of_backup,
            folder / f"log-pi-{name}",
            batch_size=settings.micro_batch_size,
            device=device,
            precision=precision,
        )
        trainers[name] = QTrainer(
            likelihood_model(behavior, "dummy"),
            settings=of_backup,
            reward_rule=labels.reward_rule,
            **shared(name, source, columns),
        )
    return trainers


def bare_steps(
    trainers: dict[str, TokenTrainer], settings: TrainSettings, device: torch.device, precision: str, clock: Clock
) -> dict[str, dict[str, list[float]]]:
    """Return trainer -> part -> seconds of every step, the trainers taking turns on the same batches."""
    times: dict[str, dict[str, list[float]]] = {name: {} for name in trainers}
    generator = np.random.default_rng(settings.seed)
    n_frames = len(cast(FrameDataset, next(iter(trainers.values())).train_frames).source.table)
    optimizers = {name: torch.optim.AdamW(network(t).parameters(), 1e-4, fused=True) for name, t in trainers.items()}
    for _ in range(settings.steps):
        request = BatchRequest(
            generator.integers(0, n_frames, settings.batch_size),
            generator.integers(-SHIFT_PIXELS, SHIFT_PIXELS + 1, (settings.batch_size, 2)),
        )
        for name, trainer in trainers.items():
            for part, duration_s in timed_step(trainer, optimizers[name], request, device, precision, clock).items():
                times[name].setdefault(part, []).append(duration_s)
    return times


def timed_step(
    trainer: TokenTrainer,
    optimizer: torch.optim.Optimizer,
    request: BatchRequest,
    device: torch.device,
    precision: str,
    clock: Clock,
) -> dict[str, float]:
    """Do one optimiser step without Trainer and return the seconds of its parts."""
    marks, names = [clock()], []

    def mark(name: str) -> None:
        marks.append(clock())
        names.append(name)

    model = network(trainer).train()
    batch = trainer.train_frames[request].to(device)
    mark("batch")
    targets = None
    if isinstance(trainer, QTrainer):
        targets = trainer.targets(batch)
        mark("targets")
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        log_probs = model(batch.inputs, batch.action_bins)
    if isinstance(trainer, QTrainer) and targets is not None:
        loss, _ = trainer.loss_on_targets(targets, log_probs, batch)
    else:
        loss, _ = trainer.batch_loss(log_probs, batch)
    mark("forward")
    loss.backward()
    mark("backward")
    torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_GRAD_NORM)
    optimizer.step()
    optimizer.zero_grad()
    mark("optimizer")
    if isinstance(trainer, QTrainer) and trainer.target_network is not None:
        trainer.target_network.update(model)
        mark("target network")
    return {name: after - before for name, before, after in zip(names, marks, marks[1:], strict=False)}


class StepClock:
    """Notes the time at every report of progress, which comes after every tenth step and before any evaluation."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.times: dict[int, float] = {}

    def __call__(self, what: str, complete: int, total: int) -> None:
        """Note the time after `complete` steps."""
        self.times[complete] = self._clock()


def trainer_step_ms(trainer: TokenTrainer, step_ends: StepClock) -> float:
    """Run a phase inside Trainer, metrics and their file included, and return the mean time of a step, milliseconds."""
    trainer.run()
    times = step_ends.times
    return (times[OVERHEAD_STEPS] - times[LOG_EVERY]) / (OVERHEAD_STEPS - LOG_EVERY) * 1e3


def summary(parts: dict[str, list[float]]) -> dict[str, Any]:
    """Return the median of every part and their sum, milliseconds, without the steps of the warm-up."""
    parts_ms = {name: statistics.median(seconds[WARM_UP_STEPS:]) * 1e3 for name, seconds in parts.items()}
    return {"step_ms": sum(parts_ms.values()), "parts_ms": parts_ms}


def network(trainer: TokenTrainer) -> torch.nn.Module:
    """Return the network that a trainer trains."""
    return cast(torch.nn.Module, trainer.model)


def mean_step_ms(parts: dict[str, list[float]]) -> float:
    """Return the mean time of a step, milliseconds, without the steps of the warm-up."""
    return sum(statistics.fmean(seconds[WARM_UP_STEPS:]) for seconds in parts.values()) * 1e3


def measuring_clock(device: torch.device) -> Clock:
    """Return the clock that steps are measured on, seconds."""
    if device.type == "cpu":
        return time.process_time

    def synchronised() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return synchronised


def made_episode(seed: int) -> Episode:
    """Return an episode of noise; every second one succeeds."""
    generator = np.random.default_rng(seed)
    success = seed % 2 == 0
    action = generator.normal(size=(FRAMES_PER_EPISODE, len(SCHEMA.action_names))).astype(np.float32)
    action[:, -1] = np.sign(action[:, -1])
    return Episode(
        images={
            camera: generator.integers(0, 256, (FRAMES_PER_EPISODE, *SIZE, 3), dtype=np.uint8)
            for camera in SCHEMA.cameras
        },
        state=generator.normal(size=(FRAMES_PER_EPISODE, len(SCHEMA.state_names))).astype(np.float32),
        action=action,
        reward=binary01_reward(FRAMES_PER_EPISODE, success=success),
        terminated=success,
        truncated=not success,
        success=success,
        instruction=f"pick up the {('red', 'green', 'blue')[seed % 3]} {('cube', 'ball')[seed % 2]}",
    )


if __name__ == "__main__":
    sys.exit(main())
