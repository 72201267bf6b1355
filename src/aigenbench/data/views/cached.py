"""When views are stored: what ``data.cache`` asks for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from aigenbench.data.samples.dataset import EvaluationTransforms, TrainingTransforms
from aigenbench.data.sources.tables import ImageTable
from aigenbench.data.store.blocks import Keys
from aigenbench.data.store.build import build
from aigenbench.data.store.identity import NotStorableError
from aigenbench.data.store.store import Store
from aigenbench.data.views.views import CropViews, SquareViews, StoredCrops, StoredSquares

logger = logging.getLogger(__name__)


class ViewCache:
    """Gives samples their stored views, building what is missing first.

    Args:
        cache: ``none``, ``evaluation`` or ``all``.
        folder: where stores lie.
        num_workers: loader processes of a build.
    """

    def __init__(self, cache: str, folder: Path, num_workers: int) -> None:
        self.cache, self.folder, self.num_workers = cache, folder, num_workers
        self.between: Callable[[], None] | None = None
        """Called between batches of a build; it may raise to stop it."""
        self.share: tuple[int, int] | None = None
        """Build only share (index, count) of what is missing."""
        self.computed = 0
        """Views that this process has stored."""
        self._told: set[str] = set()
        self._stores: dict[Path, Store] = {}

    def evaluation(
        self, table: ImageTable, ids: Keys, transforms: EvaluationTransforms, base_seed: int
    ) -> StoredCrops | None:
        """The stored crops of all these images; None where they are to be computed each time.

        Evaluations under a perturbation, each of which takes as much disk as the clean one, are stored with ``all``.
        """
        perturbed = transforms.perturbation is not None
        if self.cache == "none" or (perturbed and self.cache != "all"):
            return None
        try:
            views = CropViews(self.folder, table, transforms, base_seed)
            self._build(views, views.keys(ids))
        except NotStorableError as error:
            self._tell(f"evaluation images are not stored: {error}")
            return None
        return views.stored()

    def training(
        self, table: ImageTable, rows: Keys, copies: int, transforms: TrainingTransforms, base_seed: int, lasting: bool
    ) -> StoredSquares | None:
        """The stored squares of all copies of these images; None where they are to be computed each time.

        Args:
            table: the train split.
            rows: of the window.
            copies: of each image.
            transforms: the steps.
            base_seed: ``augmentations_base_seed``.
            lasting: ``deterministic_augmentations``.
        """
        if self.cache != "all":
            return None
        try:
            if not lasting:
                raise NotStorableError("deterministic_augmentations is false")
            views = SquareViews(self.folder, table, transforms, base_seed)
            self._build(views, views.keys(rows, copies))
        except NotStorableError as error:
            self._tell(f"training images are not stored: {error}")
            return None
        return views.stored()

    def _build(self, views: CropViews | SquareViews, keys: Keys) -> None:
        # a store remembers the blocks that it has looked into
        views.store = self._stores.setdefault(views.store.folder, views.store)
        self.computed += build(views, keys, self.num_workers, self.between, self.share)

    def _tell(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            logger.warning("%s; they are computed each time they are read", message)
