"""TokenTrainer: transformers' Trainer around a `TokenScorer`, such that a resumed run equals an uninterrupted one.

From Trainer come the optimiser, the schedule, mixed precision, gradient accumulation, and the state of all of them in a
checkpoint. Ours are the order of the data, the losses, the evaluation on held-out episodes, the metrics, early
stopping, and the rule which checkpoint counts as whole.
"""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME

from vlm_qsft.data.storage import partial_path, storage_errors
from vlm_qsft.errors import CheckpointError, InvalidSetting, NotFinite
from vlm_qsft.model.action_logits import split_dummy
from vlm_qsft.model.composed_rows import rows_of_parts
from vlm_qsft.model.scorer import TokenScorer
from vlm_qsft.model.weight_files import weight_storage_errors
from vlm_qsft.training.batch import TokenBatch
from vlm_qsft.training.held_out import HeldOut, best_weights_path
from vlm_qsft.training.metric_means import MetricMeans
from vlm_qsft.training.metrics_log import MetricsLog
from vlm_qsft.training.muon import MuonAdamW, hidden_matrices
from vlm_qsft.training.progress import ProgressListener
from vlm_qsft.training.sampler import FrameSampler, Priority
from vlm_qsft.training.settings import Phase, TrainSettings
from vlm_qsft.training.step_folder import keep_only, latest_complete, mark_complete
from vlm_qsft.training.token_dataset import TokenDataset
from vlm_qsft.training.training_arguments import training_arguments
from vlm_qsft.training.weights import load_trained_tensors, save_tensors, trained_tensors

WEIGHTS_FILE = "model.safetensors"


class TokenTrainer(Trainer, ABC):
    """What both phases share. Call `run`, not `train`."""

    def __init__(
        self,
        scorer: TokenScorer[Any],
        *,
        phase: Phase,
        settings: TrainSettings,
        train_frames: TokenDataset,
        validation_frames: TokenDataset,
        out: Path,
        device: torch.device,
        precision: str,
        progress: ProgressListener | None = None,
    ) -> None:
        """Prepare a phase.

        Args:
            out: the phase folder; checkpoints and metrics go there.
            precision: "float32" or "bfloat16", see `resolve_precision`.
            progress: called at the start and every few steps.

        Raises:
            InvalidSetting: started by a launcher of several processes.
        """
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise InvalidSetting("Training runs in one process; start it without torchrun or accelerate launch.")
        self.phase: Phase = phase
        self.settings = settings
        self.held_out = HeldOut()
        self.train_frames, self.validation_frames = train_frames, validation_frames
        self.out, self._progress = out, progress
        self._means = MetricMeans()
        super().__init__(
            model=scorer,
            args=training_arguments(settings, out=out, device=device, precision=precision),
            train_dataset=train_frames,
            eval_dataset=validation_frames,
            callbacks=[RunCallback(self)],
        )
        self.remove_callback(PrinterCallback)

    def outputs(self, logits: Tensor) -> Tensor:
        """Return what the logits of the scorer mean to this phase: log-probabilities over bins and dummy."""
        return split_dummy(logits)

    @abstractmethod
    def batch_loss(self, log_probs: Tensor, batch: TokenBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a batch and its metrics."""

    @abstractmethod
    def held_out_metrics(self) -> dict[str, float]:
        """Return the metrics on the held-out frames; for early stopping, `nll` is among them."""

    def run(self) -> TokenScorer[Any]:
        """Train from the start, or from the last whole checkpoint; return the scorer with its final weights.

        These are the weights of the last step, or with `patience` those of the best held-out NLL.

        Raises:
            NotFinite: the loss is no number any more.
            CheckpointError: a checkpoint in the folder belongs to another model, or to another version's optimiser.
        """
        folder = latest_complete(self.out)
        keep_only(self.out, folder)
        if folder is not None:
            self.held_out = HeldOut.load(folder)
            self.state = TrainerState.load_from_json(str(folder / TRAINER_STATE_NAME))
        with MetricsLog(self.out, phase=self.phase, step=self.state.global_step) as log:
            self._log = log
            if not self.held_out.must_stop(self.settings.patience):
                self.train(resume_from_checkpoint=None if folder is None else str(folder))
        scorer = self.accelerator.unwrap_model(self.model)
        if self.settings.patience and self.phase == "behavior":
            load_trained_tensors(scorer, best_weights_path(self.out, self.held_out.best_step))
        return scorer.eval()

    def held_out_batches(self) -> Iterator[tuple[Tensor, TokenBatch]]:
        """Return log-probabilities and batches of the held-out frames, in order."""
        scorer = self.accelerator.unwrap_model(self.model)
        for batch in self.validation_frames.batches(self.settings.micro_batch_size):
            on_device = batch.to(self.args.device)
            with torch.no_grad():
                log_probs = self.outputs(scorer(on_device.inputs, on_device.action_bins))
            yield log_probs, on_device

    def priority(self) -> Priority | None:
        """Return which training frames are drawn more often; None draws all alike."""
        return None

    def save_extras(self, folder: Path) -> None:
        """Write what the phase needs beyond Trainer's own files into a checkpoint."""
        self.held_out.save(folder)

    def load_extras(self, folder: Path) -> None:
        """Read what `save_extras` wrote."""
        self.held_out = HeldOut.load(folder)

    # What follows overrides Trainer (transformers 5.5).

    def get_train_dataloader(self) -> DataLoader:
        """Return batches in the order of `FrameSampler`; one epoch of Trainer is the whole run."""
        settings = self.settings
        sampler: Any = FrameSampler(  # yields requests, not the lists of indices that DataLoader's types speak of
            self.train_frames.frames,
            steps=settings.steps,
            batch_size=settings.batch_size,
            accumulation=settings.accumulation,
            shift_pixels=settings.augmentation,
            colour_jitter=settings.colour_jitter,
            seed=settings.seed,
            priority=self.priority(),
        )
        return DataLoader(self.train_frames, batch_sampler=sampler, collate_fn=_as_it_is)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Return the optimiser that the settings name; AdamW is Trainer's own.

        Raises:
            InvalidSetting: Muon, for a model without a hidden linear layer, as GPT-2's are made.
        """
        if self.settings.optimizer == "muon" and self.optimizer is None:
            scorer = self.accelerator.unwrap_model(self.model)
            hidden, decaying = hidden_matrices(scorer), set(self.get_decay_parameter_names(scorer))
            if not hidden:
                raise InvalidSetting("optimizer 'muon' moves linear layers, and this model trains none: use 'adamw'.")
            trained = [(name, weights) for name, weights in scorer.named_parameters() if weights.requires_grad]
            rest = [(name, weights) for name, weights in trained if name not in hidden]
            self.optimizer = MuonAdamW(
                list(hidden.values()),
                [weights for name, weights in rest if name in decaying],
                [weights for name, weights in rest if name not in decaying],
                learning_rate=self.settings.learning_rate,
                weight_decay=self.settings.weight_decay,
            )
        return super().create_optimizer(model)

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """Return what weight decay acts on: neither biases, norms nor rows of parts, see `rows_of_parts`."""
        kept = rows_of_parts(model)
        return [name for name in super().get_decay_parameter_names(model) if name not in kept]

    def compute_loss(
        self,
        model: nn.Module,
        inputs: TokenBatch,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Return the loss and remember its metrics until the next report."""
        loss, metrics = self.batch_loss(self.outputs(model(inputs.inputs, inputs.action_bins)), inputs)
        self._means.add(metrics, count=len(inputs))
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Write the means since the last report. Trainer's summary at the end (run time, FLOPs) is left out."""
        if "loss" in logs:
            step = self.state.global_step
            if not math.isfinite(logs["loss"]):
                raise NotFinite(
                    f"The training loss is {logs['loss']} at step {step} of the {self.phase} phase. Lower "
                    f"learning_rate (now {self.settings.learning_rate:g}) or raise warmup_fraction; use another folder."
                )
            self._log.write(step, "train", {**logs, **self._means.take()})
        self.control = self.callback_handler.on_log(self.args, self.state, self.control, logs)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Write the held-out metrics, and keep the weights if early stopping calls them the best."""
        scorer = self.accelerator.unwrap_model(self.model)
        scorer.eval()
        metrics = self.held_out_metrics()
        scorer.train()
        step = self.state.global_step
        self._log.write(step, "validation", metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        if self.settings.patience and self.phase == "behavior":
            self.held_out = self.held_out.after(metrics["nll"], step)
            if self.held_out.best_step == step:
                self._save_best(step)
            if self.held_out.must_stop(self.settings.patience):
                self.control.should_training_stop = self.control.should_save = True
        return metrics

    def floating_point_ops(self, inputs: TokenBatch) -> int:
        """Return 0: not counted."""
        return 0

    def _prepare_inputs(self, inputs: TokenBatch) -> TokenBatch:
        return inputs.to(self.args.device)

    def _get_num_items_in_batch(self, batch_samples: list, device: torch.device) -> None:
        return None  # micro-batches count alike, by size or by their weights: the mean of their means is the mean

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        folder = self.out if output_dir is None else Path(output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        save_tensors(trained_tensors(self.accelerator.unwrap_model(self.model)), folder / WEIGHTS_FILE)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        with weight_storage_errors(self.out):
            super()._save_checkpoint(model, trial)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        folder = Path(resume_from_checkpoint)
        load_trained_tensors(self.accelerator.unwrap_model(self.model), folder / WEIGHTS_FILE)
        self.load_extras(folder)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        try:
            super()._load_optimizer_and_scheduler(checkpoint)
        except ValueError as error:
            raise CheckpointError(
                f"{checkpoint} is of a version that divides the weights otherwise: use another folder. ({error})"
            ) from error

    def _save_best(self, step: int) -> None:
        path = best_weights_path(self.out, step)
        partial = partial_path(path)
        with storage_errors(path):
            save_tensors(trained_tensors(self.accelerator.unwrap_model(self.model)), partial)
            os.replace(partial, path)

    def finish_checkpoint(self) -> None:
        """Complete the checkpoint that Trainer has just written, then remove what it replaces."""
        folder = self.out / f"checkpoint-{self.state.global_step}"
        self.save_extras(folder)
        mark_complete(folder)
        keep_only(self.out, folder)
        for path in self.out.glob("best-*.safetensors"):
            if path != best_weights_path(self.out, self.held_out.best_step):
                path.unlink()

    def report_progress(self) -> None:
        """Tell the listener where the run stands."""
        if self._progress is not None:
            self._progress(f"{self.phase} phase", self.state.global_step, self.settings.steps)


class RunCallback(TrainerCallback):
    """What happens between Trainer's steps: reports before every save, whole checkpoints, progress."""

    def __init__(self, trainer: TokenTrainer) -> None:
        self._trainer = trainer

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Say where the run goes on."""
        self._trainer.report_progress()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Report before a save, so that no mean spans an interruption: the lines are the same after a resumption."""
        if control.should_save or control.should_evaluate:
            control.should_log = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Mark the checkpoint as whole."""
        self._trainer.finish_checkpoint()

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Report progress."""
        self._trainer.report_progress()


def _as_it_is(batch: Any) -> Any:
    return batch
