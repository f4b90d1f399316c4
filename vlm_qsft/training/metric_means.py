"""Means of metrics over batches, kept on the device until they are asked for."""

from __future__ import annotations

from torch import Tensor


class MetricMeans:
    """Sums 0-d tensors, weighted by the size of their batch."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._count = 0

    def add(self, metrics: dict[str, Tensor], *, count: int) -> None:
        """Add the metrics of a batch of `count` frames."""
        for name, metric in metrics.items():
            part = metric.detach() * count
            self._sums[name] = self._sums[name] + part if name in self._sums else part
        self._count += count

    def take(self) -> dict[str, float]:
        """Return the means and begin again."""
        means = {name: (total / self._count).item() for name, total in self._sums.items()}
        self._sums, self._count = {}, 0
        return means
