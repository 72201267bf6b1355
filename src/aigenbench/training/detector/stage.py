"""What passes between a run and its detector: where the run stands, and what an evaluation step gives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from torch import Tensor

from aigenbench.data.plan import Plan
from aigenbench.protocol.trained import Trained, trained_up_to


class EvaluationOutput(NamedTuple):
    """What ``evaluation_step`` returns, a row for every crop.

    A plain tuple of five, or a mapping with the keys of the predictions file, carries probabilities of being fake.

    Attributes:
        logits: the model's outputs, not probabilities: float (n, 1), (n,) or (n, n_classes).
        labels: 0 real, 1 fake; int64 (n,).
        generator_ids: int64 (n,).
        image_identifiers: row number in the split; int64 (n,). Crops of one image stand together.
        losses: float (n,).
    """

    logits: Tensor
    labels: Tensor
    generator_ids: Tensor
    image_identifiers: Tensor
    losses: Tensor


@dataclass(frozen=True)
class Stage:
    """Where a run stands; the windows loop sets it before every training and evaluation.

    Attributes:
        window: index of the window.
        epoch: epoch within the window.
        total_steps: optimizer steps of the whole window.
        n_classes: real and every generator of the timeline.
        seen_generator_ids: ids of the generators trained on up to this window.
        trained: what the weights have been trained on at the end of this window; None where nobody says.
    """

    window: int = 0
    epoch: int = 0
    total_steps: int = 1
    n_classes: int = 0
    seen_generator_ids: tuple[int, ...] = ()
    trained: Trained | None = None

    @classmethod
    def at(
        cls,
        plan: Plan,
        window: int,
        epoch: int = 0,
        total_steps: int = 1,
        before: Trained | None = None,
        images: str | None = None,
    ) -> Stage:
        """The stage at a window of a plan; weights that were given to start from may have seen more (``before``).

        ``images`` is the fingerprint of what the window trains on.
        """
        own = replace(trained_up_to(plan.timeline, plan.windows, window), off_protocol=plan.off_protocol)
        trained = replace(own.after(before), images=images)
        return cls(window, epoch, total_steps, len(plan.timeline.id_to_name), trained.ids, trained)

    def at_epoch(self, epoch: int) -> Stage:
        """The same at another epoch of the window."""
        return replace(self, epoch=epoch)
