"""Labels of existing data sets: outcomes, rewards, returns and counterfactual negatives, without touching pictures."""

from qsft_datasets.labeling.label_dataset import LabelSummary, label_dataset
from qsft_datasets.labeling.request import OUTCOMES, LabelRequest, OutcomeRequest

__all__ = ["OUTCOMES", "LabelRequest", "LabelSummary", "OutcomeRequest", "label_dataset"]
