"""Validation of a data set: what a converter or a robot may have got wrong, found before training."""

from qsft_datasets.validation.finding import Fact, Finding
from qsft_datasets.validation.registry import CHECKS
from qsft_datasets.validation.report import Report, to_json, write_markdown
from qsft_datasets.validation.validate import validate_dataset

__all__ = ["CHECKS", "Fact", "Finding", "Report", "to_json", "validate_dataset", "write_markdown"]
