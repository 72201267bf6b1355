"""FLOPs of the operations that run, and counts of what is computed.

A count is a mapping of names to numbers, and what cannot be told is absent: ``images``, ``forward_passes`` and
``backward_passes`` (images through a backbone), ``flops``, ``device_seconds``, ``joules``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry

from aigenbench.training.lightning.internals import OperationsMode, mapped_tensors, operation_of

Count = dict[str, Any]
_MOVES = (
    *("_to_copy", "_unsafe_view", "cat", "clone", "copy_", "empty", "fill", "full", "index", "new_", "ones", "repeat"),
    *("select_", "set_", "slice_", "stack", "zero", "_foreach_", "_local_scalar"),
)
"""How operations begin that make room, move numbers, or change them one by one."""


def added(a: Mapping[str, Any], b: Mapping[str, Any]) -> Count:
    """The sum of two counts: what one of them cannot tell is not known of the sum; an empty one is of nothing."""
    if not a or not b:
        return dict(a or b)
    return {name: a[name] + b[name] for name in a if name in b}


def scaled(count: Mapping[str, Any], by: float) -> Count:
    """A count of more or fewer of the same images."""
    return {name: round(value * by) if isinstance(value, int) else value * by for name, value in count.items()}


def _attention(query: Tensor, key: Tensor, value: Tensor, embed_dim: int, *_: Any, **__: Any) -> int:
    """``nn.MultiheadAttention`` as one operation: four projections, the scores and their sums of values."""
    (batch, n, width), m = query.shape, key.shape[1]
    return 2 * batch * (2 * n * width * embed_dim + 2 * m * width * embed_dim + 2 * n * m * embed_dim)


def _operation(name: str) -> Any:
    return getattr(torch.ops.aten, name)


_FUSED = "_scaled_dot_product_flash_attention"
_FORMULAS: dict[Any, Callable[..., int]] = {
    _operation("_native_multi_head_attention"): _attention,
    # older versions of torch bring no formulas for the processor's
    _operation(f"{_FUSED}_for_cpu"): flop_registry[_operation(_FUSED)],
    _operation(f"{_FUSED}_for_cpu_backward"): flop_registry[_operation(f"{_FUSED}_backward")],
    **flop_registry,
}


class Operations(OperationsMode):
    """Adds up the FLOPs of the operations that run, 2 a multiply-add, by torch's formulas; results stay as they are.

    Attributes:
        flops: the sum.
        without: operations without a formula that compute, and not element by element.
    """

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0
        self.without: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation, then count it."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        operation, is_plain = operation_of(func)
        if (formula := _FORMULAS.get(operation)) is not None:
            self.flops += formula(*args, **kwargs, out_val=result)
        elif not is_plain:
            self.without.add(str(func))
        elif not (func.is_view or torch.Tag.pointwise in func.tags or self._counted_by_parts(func, args, kwargs)):
            space, name = str(operation).split(".", 1)
            if space not in ("c10d", "profiler") and not name.startswith(_MOVES):
                self.without.add(name)
        return result

    def _counted_by_parts(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Count an operation that consists of others, as they come under inference mode.

        Its parts are run on shapes alone: to run the real ones apart could round otherwise.
        """
        args, kwargs = mapped_tensors(Tensor, _shape, (args, kwargs))
        try:
            with self:
                return func.decompose(*args, **kwargs) is not NotImplemented
        except (NotImplementedError, RuntimeError):
            # it goes by values, which shapes do not have
            return False


def _shape(of: Tensor) -> Tensor:
    return torch.empty_strided(of.shape, of.stride(), dtype=of.dtype, device="meta")
