"""Weights of several windows made into one."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from aigenbench.errors import InputError
from aigenbench.models.finetune import LowRank, Residual

logger = logging.getLogger(__name__)

Weights = Mapping[str, Tensor]


def mixed(states: Sequence[Weights], shares: Sequence[float], detector: nn.Module) -> dict[str, Tensor]:
    """The weighted sum of state dicts, computed in float64; copies, in the newest's dtypes.

    BatchNorm's running statistics are mixed like weights; what is no floating number (its count of batches) is the
    newest's. Of low-rank changes the matrices are mixed, not their factors: the mean of products is no product of
    means. The result is brought back to their rank by the truncated singular value decomposition, the nearest of that
    rank. A share of 1 gives that state as it is.

    Args:
        states: of one detector, the newest last.
        shares: of each; their sum is 1.
        detector: tells which weights are low-rank factors.

    Raises:
        InputError: the states have other weights than each other.
    """
    newest = states[-1]
    for state in states:
        _check_alike(state, newest)
    if 1.0 in shares:
        return {name: tensor.clone() for name, tensor in states[list(shares).index(1.0)].items()}
    sums = {
        name: _sum([state[name] for state in states], shares) if tensor.is_floating_point() else tensor.clone()
        for name, tensor in newest.items()
    }
    return {**sums, **_low_rank(states, shares, detector)}


def _check_alike(state: Weights, other: Weights) -> None:
    names = state.keys() ^ other.keys() or {k for k in state if state[k].shape != other[k].shape}
    if names:
        raise InputError(
            f"experiment_info.strategy: {min(names)} is not of the same shape in every window, so that windows cannot "
            "be merged; use none of interpolate, ema and soup"
        )


def _sum(tensors: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    total = sum(share * tensor.double() for share, tensor in zip(shares, tensors, strict=True))
    assert isinstance(total, Tensor), "of at least one"
    return total.to(tensors[-1].dtype)


def _low_rank(states: Sequence[Weights], shares: Sequence[float], detector: nn.Module) -> dict[str, Tensor]:
    """The factors of all low-rank changes, by their names in a state dict."""
    made: dict[str, Tensor] = {}
    squares = torch.zeros(2, dtype=torch.float64)
    for name, module in detector.named_modules():
        if not isinstance(module, LowRank | Residual):
            continue
        factors = ("up", "down") if isinstance(module, LowRank) else ("left", "values", "right")
        of_all = [[state[f"{name}.{factor}"].double() for factor in factors] for state in states]
        scaled = [one[0] * one[1] if len(one) == 3 else one[0] for one in of_all]
        columns = [share * one for share, one in zip(shares, scaled, strict=True)]
        left, values, right, of_change = truncated(columns, [one[-1] for one in of_all])
        # as a new change starts: what multiplies the images is no zero, so what is zero can grow
        found = (left * values, right) if isinstance(module, LowRank) else (left, values, right)
        for factor, tensor in zip(factors, found, strict=True):
            newest = states[-1][f"{name}.{factor}"]
            made[f"{name}.{factor}"] = tensor.to(newest.dtype)
        squares += of_change
    if made:
        logger.info("merged changes keep %.1f %% of their squares in their rank", 100 * squares[0] / squares[1])
    return made


def truncated(columns: Sequence[Tensor], rows: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The best approximation, of the first one's rank r, of the sum of products ``columns[i] @ rows[i]``.

    Args:
        columns: (n, r) each, float64.
        rows: (r, m) each.

    Returns:
        Left vectors (n, r), singular values (r,), right vectors (r, m), zero beyond min(n, m); and the sums of squares
        that are kept and that there were (2,).
    """
    rank = rows[0].shape[0]
    # thin factors alone are decomposed, never the matrix
    q_left, r_left = torch.linalg.qr(torch.cat(list(columns), dim=1))
    q_right, r_right = torch.linalg.qr(torch.cat(list(rows)).T)
    left, values, right = torch.linalg.svd(r_left @ r_right.T)
    kept = min(rank, len(values))
    lacking = (0, rank - kept)
    return (
        nn.functional.pad(q_left @ left[:, :kept], lacking),
        nn.functional.pad(values[:kept], lacking),
        nn.functional.pad(right[:kept] @ q_right.T, (0, 0, *lacking)),
        torch.stack([values[:kept].square().sum(), values.square().sum()]),
    )


def best(scores: Mapping[float, float | None]) -> float:
    """The key of the highest score, of equal ones the larger; the largest where no score is defined."""
    return max(scores, key=lambda key: (-1.0 if scores[key] is None else scores[key], key))
