"""ActionTokenizer: physical actions to bins and back, one frozen record saved with every checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64

from vlm_qsft.errors import InvalidSetting, NotFinite, ShapeMismatch, UnknownName
from vlm_qsft.tokens.bins import (
    RANGE_QUANTILES,
    bin_of,
    gripper_edges,
    midpoints,
    quantile_edges,
    uniform_edges,
)

Strategy = Literal["uniform", "quantile"]
STRATEGIES: tuple[Strategy, ...] = ("uniform", "quantile")
JSON_VERSION = 1


@dataclass(frozen=True)
class Encoded:
    """Bins of actions, and how many numbers lay outside the range and were moved to its nearest end."""

    bins: Int64[np.ndarray, "... chunk action_dim"]
    n_clipped: int


@dataclass(frozen=True, eq=False)
class ActionTokenizer:
    """The fixed map between an action chunk and its tokens.

    A chunk of `chunk` control steps is `chunk * action_dim` tokens, step-major: all dimensions of the first step,
    then of the second. Bins are 0 .. n_bins-1; the dummy token has index n_bins and is no action.

    Attributes:
        action_names: one name per dimension, in the order of the data set.
        n_bins: bins per dimension.
        strategy: how the dimensions that are no gripper are cut: equally wide or equally frequent bins.
        low: lower end of the range of every dimension, physical units; below it a value is clipped.
        high: upper end.
        edges: bin edges, physical units, never falling.
        centers: what a bin decodes to, physical units.
        gripper: names of the dimensions whose end centers are exactly `low` and `high`.
        chunk: control steps per decision.
    """

    action_names: tuple[str, ...]
    n_bins: int
    strategy: Strategy
    low: Float64[np.ndarray, " action_dim"]
    high: Float64[np.ndarray, " action_dim"]
    edges: Float64[np.ndarray, "action_dim n_bins+1"]
    centers: Float64[np.ndarray, "action_dim n_bins"]
    gripper: tuple[str, ...]
    chunk: int

    def __post_init__(self) -> None:
        dims, bins = len(self.action_names), self.n_bins
        check_settings(self.action_names, bins, self.strategy, self.gripper, self.chunk)
        expected = {"low": (dims,), "high": (dims,), "edges": (dims, bins + 1), "centers": (dims, bins)}
        for name, shape in expected.items():
            array = np.array(getattr(self, name), dtype=np.float64)
            if array.shape != shape:
                raise ShapeMismatch(f"ActionTokenizer.{name} has shape {array.shape}; expected {shape}.")
            if not np.isfinite(array).all():
                raise NotFinite(f"ActionTokenizer.{name} holds NaN or infinity.")
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if not (self.low < self.high).all() or (np.diff(self.edges) < 0).any():
            raise InvalidSetting("ActionTokenizer: ranges must not be empty and edges must not fall.")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActionTokenizer) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.to_json())

    @property
    def action_dim(self) -> int:
        """Dimensions of one control step."""
        return len(self.action_names)

    @property
    def n_tokens(self) -> int:
        """Tokens of one decision, chunk * action_dim."""
        return self.chunk * self.action_dim

    @classmethod
    def fit(
        cls,
        actions: Float[np.ndarray, "frame action_dim"],
        *,
        action_names: Sequence[str],
        n_bins: int = 256,
        strategy: Strategy = "uniform",
        limits: Mapping[str, tuple[float, float]] | None = None,
        gripper: Sequence[str] = (),
        chunk: int = 1,
    ) -> ActionTokenizer:
        """Fit ranges and bins to logged actions.

        The range of a dimension is its entry in `limits`, else the exact 1 % and 99 % quantile, for grippers the
        exact minimum and maximum.

        Args:
            actions: every logged action in physical units.
            limits: name -> (low, high), physical units.
            gripper: names of the dimensions that are commanded at their ends.
        Raises:
            ShapeMismatch: `actions` is not (frame, action_dim) or has no frame.
            NotFinite: `actions` holds NaN or infinity; names frame and dimension.
            UnknownName: `limits` or `gripper` names no dimension.
            InvalidSetting: a range is empty; names the dimension.
        """
        names, limits = tuple(action_names), dict(limits or {})
        check_settings(names, n_bins, strategy, tuple(gripper), chunk)
        for name in limits:
            if name not in names:
                raise UnknownName("action dimension", name, names, where="limits")
        if actions.ndim != 2 or actions.shape[1] != len(names) or actions.shape[0] == 0:
            raise ShapeMismatch(
                f"Actions have shape {actions.shape}; expected (frames, {len(names)}) for {', '.join(names)}."
            )
        values = actions.astype(np.float64)
        refuse_not_finite(values, names)
        ranges, edges = [], []
        for column, name in enumerate(names):
            one = values[:, column]
            low, high = limits.get(name) or observed_range(one, is_gripper=name in gripper)
            refuse_empty_range(name, low, high, is_given=name in limits)
            ranges.append((low, high))
            if name in gripper:
                edges.append(gripper_edges(low, high, n_bins))
            elif strategy == "quantile":
                edges.append(quantile_edges(one, low, high, n_bins))
            else:
                edges.append(uniform_edges(low, high, n_bins))
        centers = np.stack([midpoints(row) for row in edges])
        for column, name in enumerate(names):
            if name in gripper:
                centers[column, 0], centers[column, -1] = ranges[column]
        low, high = np.array(ranges).T
        return cls(names, n_bins, strategy, low, high, np.stack(edges), centers, tuple(gripper), chunk)

    def encode(self, actions: Float[np.ndarray, "... chunk action_dim"]) -> Encoded:
        """Return the bin of every number; what lies outside the range is clipped and counted.

        Raises:
            ShapeMismatch: the last two axes are not (chunk, action_dim).
            NotFinite: NaN or infinity; names the dimension.
        """
        self._check_axes(actions.shape, "Actions")
        values = np.asarray(actions, dtype=np.float64)
        refuse_not_finite(values.reshape(-1, self.action_dim), self.action_names)
        n_clipped = int(((values < self.low) | (values > self.high)).sum())
        bins = np.empty(values.shape, dtype=np.int64)
        for column in range(self.action_dim):
            bins[..., column] = bin_of(values[..., column], self.edges[column])
        return Encoded(bins, n_clipped)

    def decode(self, bins: Int64[np.ndarray, "... chunk action_dim"]) -> Float32[np.ndarray, "... chunk action_dim"]:
        """Return the centers of bins, physical units.

        Raises:
            ShapeMismatch: the last two axes are not (chunk, action_dim), or the type is no integer.
            InvalidSetting: a bin outside 0 .. n_bins-1; the dummy token (index n_bins) is no action.
        """
        self._check_axes(bins.shape, "Action bins")
        if not np.issubdtype(bins.dtype, np.integer):
            raise ShapeMismatch(f"Action bins have type {bins.dtype}; expected an integer type.")
        outside = (bins < 0) | (bins >= self.n_bins)
        if outside.any():
            where = np.argwhere(outside)[0]
            got = int(bins[tuple(where)])
            what = "the dummy token" if got == self.n_bins else f"bin {got}"
            raise InvalidSetting(
                f"Action dimension '{self.action_names[where[-1]]}' got {what}; "
                f"an action has bins 0 to {self.n_bins - 1}. Nothing was decoded."
            )
        return self.centers[np.arange(self.action_dim), bins].astype(np.float32)

    def normalize(self, actions: Float[np.ndarray, "... action_dim"]) -> Float32[np.ndarray, "... action_dim"]:
        """Map physical units to normalized actions: [low, high] to [-1, 1], beyond it linearly on."""
        return ((np.asarray(actions, np.float64) - self.low) / (self.high - self.low) * 2.0 - 1.0).astype(np.float32)

    def denormalize(self, normalized: Float[np.ndarray, "... action_dim"]) -> Float32[np.ndarray, "... action_dim"]:
        """Invert `normalize`."""
        share = (np.asarray(normalized, np.float64) + 1.0) / 2.0
        return (self.low + share * (self.high - self.low)).astype(np.float32)

    def to_json(self) -> str:
        """Return the whole tokenizer as JSON text; numbers survive bit by bit."""
        record = {
            "version": JSON_VERSION,
            "action_names": list(self.action_names),
            "n_bins": self.n_bins,
            "strategy": self.strategy,
            "gripper": list(self.gripper),
            "chunk": self.chunk,
            **{name: getattr(self, name).tolist() for name in ("low", "high", "edges", "centers")},
        }
        return json.dumps(record)

    @classmethod
    def from_json(cls, text: str) -> ActionTokenizer:
        """Read what `to_json` wrote.

        Raises:
            InvalidSetting: no such record, of another version, or a field is missing.
        """
        try:
            record = json.loads(text)
            version = record["version"]
            fields = {name: record[name] for name in cls.__dataclass_fields__}
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise InvalidSetting(f"Not the record of an action tokenizer: {error!r}.") from error
        if version != JSON_VERSION:
            raise InvalidSetting(f"Action tokenizer of version {version}; this library reads version {JSON_VERSION}.")
        for name in ("action_names", "gripper"):
            fields[name] = tuple(fields[name])
        return cls(**fields)

    def _check_axes(self, shape: tuple[int, ...], what: str) -> None:
        if len(shape) < 2 or shape[-2:] != (self.chunk, self.action_dim):
            raise ShapeMismatch(
                f"{what} have shape {shape}; expected (..., {self.chunk}, {self.action_dim}): "
                f"chunk of {self.chunk} control steps of {', '.join(self.action_names)}."
            )


def check_settings(names: tuple[str, ...], n_bins: int, strategy: str, gripper: tuple[str, ...], chunk: int) -> None:
    """Refuse settings that describe no tokenizer.

    Raises:
        InvalidSetting: no or repeated names, fewer than two bins, a chunk below 1.
        UnknownName: the strategy, or a gripper that is no dimension.
    """
    if not names or len(set(names)) != len(names):
        raise InvalidSetting(f"Action names must be unique and at least one; got {list(names)}.")
    if n_bins < 2:
        raise InvalidSetting(f"n_bins is {n_bins}; at least 2 are needed.")
    if chunk < 1:
        raise InvalidSetting(f"chunk is {chunk}; at least 1 control step is needed.")
    if strategy not in STRATEGIES:
        raise UnknownName("bin strategy", strategy, STRATEGIES)
    for name in gripper:
        if name not in names:
            raise UnknownName("action dimension", name, names, where="gripper")


def observed_range(values: Float64[np.ndarray, " frame"], *, is_gripper: bool) -> tuple[float, float]:
    """Return the range of one dimension: exact extremes of a gripper, else the exact 1 % and 99 % quantile."""
    if is_gripper:
        return float(values.min()), float(values.max())
    return cast(tuple[float, float], tuple(np.quantile(values, RANGE_QUANTILES).tolist()))


def refuse_empty_range(name: str, low: float, high: float, *, is_given: bool) -> None:
    """Refuse a dimension that has no range to cut.

    Raises:
        InvalidSetting: `low` is not below `high`.
    """
    if np.isfinite([low, high]).all() and low < high:
        return
    if is_given:
        raise InvalidSetting(f"Limits of action dimension '{name}' are ({low}, {high}); expected low < high.")
    raise InvalidSetting(
        f"Action dimension '{name}' is constant in these data ({low}): no range to cut into bins. "
        f"Give its limits: --limits {name}=LOW:HIGH, in code limits={{'{name}': (low, high)}}."
    )


def refuse_not_finite(values: Float64[np.ndarray, "frame action_dim"], names: tuple[str, ...]) -> None:
    """Refuse NaN and infinity.

    Raises:
        NotFinite: names the first dimension and how many numbers are concerned.
    """
    bad = ~np.isfinite(values)
    if bad.any():
        frame, column = np.argwhere(bad)[0]
        raise NotFinite(
            f"Action dimension '{names[column]}' is {values[frame, column]} in row {frame} "
            f"({int(bad.sum())} such numbers in all). Remove or repair these frames."
        )
