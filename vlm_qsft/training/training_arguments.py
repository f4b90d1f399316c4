"""`TrainSettings` in the words of transformers' Trainer."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import TrainingArguments

from vlm_qsft.training.settings import TrainSettings

LOG_EVERY = 10
"""Optimiser steps per line of metrics: a few hundred lines per phase, and a report every few seconds."""

MAX_GRAD_NORM = 1.0
"""Norm to which a larger gradient is scaled down."""


def training_arguments(
    settings: TrainSettings, *, out: Path, device: torch.device, precision: str
) -> TrainingArguments:
    """Return the settings in Trainer's words."""
    arguments = TrainingArguments(
        output_dir=str(out),
        max_steps=settings.steps,
        per_device_train_batch_size=settings.micro_batch_size,
        gradient_accumulation_steps=settings.accumulation,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        lr_scheduler_type="cosine",
        warmup_steps=round(settings.warmup_fraction * settings.steps),
        optim="adamw_torch_fused",
        max_grad_norm=MAX_GRAD_NORM,
        bf16=precision == "bfloat16",
        use_cpu=device.type == "cpu",
        seed=settings.seed,
        logging_steps=LOG_EVERY,
        logging_nan_inf_filter=False,
        eval_strategy="steps",
        eval_steps=settings.eval_every,
        save_steps=settings.save_every,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )
    arguments._n_gpu = min(1, arguments.n_gpu)  # no DataParallel: it would split a batch that is one record
    return arguments
