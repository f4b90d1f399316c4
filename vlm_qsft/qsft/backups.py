"""Backups: from rewards and the target network to the label weight w(s, a) of every action token.

An action is `n_tokens` tokens, each a decision of its own in a token-level MDP. Rewards and the discount belong to
control steps, never to tokens: before the last token a backup moves on to the value after the next prefix of the same
action, at the last token it collects the reward and looks at the next state. Monte-Carlo and n-step backups look past
the end of the action at once, so every token of the action has the same target.

`backup_registry.BACKUPS` lists them.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vlm_qsft.errors import NotFinite, TargetOutOfRange
from vlm_qsft.qsft.values import max_ratio

TARGET_TOLERANCE = 1e-4
"""A target may leave [0, 1] by this much before it counts as a wrong reward scale: far above fp32 rounding."""


def monte_carlo_targets(
    returns: Float[Tensor, " batch"], n_tokens: int, *, reward_rule: str
) -> Float[Tensor, "batch token"]:
    """Return the realised return of the logged episode for every token.

        w = sum_j gamma^j r_{t+j}            exact in expectation: E[w | s, a] = Q of the behavior policy

    Args:
        returns: discounted sum of the scaled rewards from this control step to the end of the episode.
        reward_rule: name of the rule that scaled the rewards, for the error.

    Raises:
        TargetOutOfRange, NotFinite: see `checked_targets`.
    """
    return checked_targets(returns, backup="monte_carlo", reward_rule=reward_rule)[:, None].expand(-1, n_tokens)


def nstep_targets(
    reward: Float[Tensor, " batch"],
    discount: Float[Tensor, " batch"],
    bootstrap_mask: Bool[Tensor, " batch"],
    *,
    next_value: Float[Tensor, " batch"],
    n_tokens: int,
    reward_rule: str,
) -> Float[Tensor, "batch token"]:
    """Return the n-step return for every token.

        w = sum_{j<k} gamma^j r_{t+j} + gamma^k * bootstrap_mask * V(s_{t+k}),   k <= n

    Args:
        reward: discounted sum of the rewards of the k steps.
        discount: gamma**k, where k < n if the episode ended earlier.
        bootstrap_mask: False where the episode terminated within the k steps.
        next_value: V(s_{t+k}) of the target network, in [0, 1].

    Raises:
        TargetOutOfRange, NotFinite: see `checked_targets`.
    """
    after_action = after_action_targets(
        reward, discount, bootstrap_mask, next_value=next_value, backup="nstep", reward_rule=reward_rule
    )
    return after_action[:, None].expand(-1, n_tokens)


def behavior_targets(
    reward: Float[Tensor, " batch"],
    discount: Float[Tensor, " batch"],
    bootstrap_mask: Bool[Tensor, " batch"],
    *,
    next_value: Float[Tensor, " batch"],
    prefix_values: Float[Tensor, "batch token"],
    reward_rule: str,
    backup: str = "behavior",
) -> Float[Tensor, "batch token"]:
    """Return the one-token Bellman backup: the value after the prefix, and at the last token that of the next state.

        w_i    = V(s, a_1 ... a_i)                                    i < last: no reward, no discount
        w_last = reward + discount * bootstrap_mask * V(s')

    What the values are decides what is learned: those of the behavior policy (`value_from_dummy`) evaluate it,
    the largest ratio (`max_targets`) improves on it.

    Args:
        prefix_values: column i is the value at the same state after the first i logged tokens; column 0 is unused.
        backup: name of the backup, for the error.

    Raises:
        TargetOutOfRange, NotFinite: see `checked_targets`.
    """
    after_action = after_action_targets(
        reward, discount, bootstrap_mask, next_value=next_value, backup=backup, reward_rule=reward_rule
    )
    inside_action = checked_targets(prefix_values[:, 1:], backup=backup, reward_rule=reward_rule)
    return torch.cat([inside_action, after_action[:, None]], dim=1)


def max_targets(
    reward: Float[Tensor, " batch"],
    discount: Float[Tensor, " batch"],
    bootstrap_mask: Bool[Tensor, " batch"],
    *,
    log_p_next: Float[Tensor, "batch bins_and_dummy"],
    log_pi_next: Float[Tensor, "batch n_bins"],
    log_p: Float[Tensor, "batch token bins_and_dummy"],
    log_pi: Float[Tensor, "batch token n_bins"],
    support: float,
    clip: bool,
    reward_rule: str,
) -> Float[Tensor, "batch token"]:
    """Return the paper's backup, the largest likelihood ratio of the target network among the bins in support.

        w = r + gamma * max_a' [ p_bar(a' | s') / pi_phi(a' | s') ]                  (Eq. 3, arXiv 2411.05193)

    applied token by token as in `behavior_targets`.

    Args:
        log_p_next: target network, first token at the next state.
        log_p: target network at this state, given the logged tokens before each position.
        support: see `in_support`; 0 as printed.
        clip: cap ratios at 1; False as printed, which real networks answer with `TargetOutOfRange`.

    Raises:
        TargetOutOfRange, NotFinite: see `checked_targets`.
    """
    return behavior_targets(
        reward,
        discount,
        bootstrap_mask,
        next_value=max_ratio(log_p_next, log_pi_next, support=support, clip=clip),
        prefix_values=max_ratio(log_p, log_pi, support=support, clip=clip),
        reward_rule=reward_rule,
        backup="max",
    )


def after_action_targets(
    reward: Float[Tensor, " batch"],
    discount: Float[Tensor, " batch"],
    bootstrap_mask: Bool[Tensor, " batch"],
    *,
    next_value: Float[Tensor, " batch"],
    backup: str,
    reward_rule: str,
) -> Float[Tensor, " batch"]:
    """Return reward + discount * bootstrap_mask * V(s'), clipped to [0, 1] and cut from the graph.

    Scaled rewards alone do not keep it there: with -0.01 per step, V(s') = 0 gives -0.01. That is an error of the
    network, since the true value of such a state is at least 0.01 / discount, and it is clipped. A reward for which no
    value in [0, 1] would lead into [0, 1] is an error of the scale, and a value outside [0, 1] is refused too.

    Raises:
        TargetOutOfRange, NotFinite: see `checked_targets`.
    """
    reach = torch.where(bootstrap_mask, discount, 0.0)
    targets = reward + torch.where(bootstrap_mask, discount * next_value, 0.0)
    is_scaled = (reward <= 1.0 + TARGET_TOLERANCE) & (reward + reach >= -TARGET_TOLERANCE)
    nearest = targets.clamp(0.0, 1.0)
    is_of_network = is_scaled & (targets >= reward - TARGET_TOLERANCE) & (targets <= reward + reach + TARGET_TOLERANCE)
    return checked_targets(torch.where(is_of_network, nearest, targets), backup=backup, reward_rule=reward_rule)


def checked_targets(targets: Float[Tensor, "*axes"], *, backup: str, reward_rule: str) -> Float[Tensor, "*axes"]:
    """Return the targets clipped to [0, 1] and cut from the graph.

    Raises:
        NotFinite: a target is NaN or infinite.
        TargetOutOfRange: a target leaves [0, 1] by more than `TARGET_TOLERANCE`.
    """
    if targets.numel() == 0:
        return targets.detach()
    smallest, largest = torch.aminmax(targets.detach())
    low, high = smallest.item(), largest.item()
    if not (-float("inf") < low and high < float("inf")):
        raise NotFinite(f"Targets of the backup '{backup}' hold NaN or infinity (smallest {low}, largest {high}).")
    if low < -TARGET_TOLERANCE or high > 1.0 + TARGET_TOLERANCE:
        raise TargetOutOfRange(
            f"Targets of the backup '{backup}' span [{low:.4f}, {high:.4f}]; expected [0, 1]. The reward rule "
            f"'{reward_rule}' must scale rewards so that every discounted return lies in [0, 1]: choose another rule, "
            "or relabel the data set."
        )
    return targets.detach().clamp(0.0, 1.0)
