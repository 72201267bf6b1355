"""One window of the benchmark as Lightning's data module, for a Trainer of one's own and for a detector's own code."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from lightning.pytorch import LightningDataModule

from aigenbench.config.experiment import SlidingWindows
from aigenbench.config.layer import DEFAULT_SEED
from aigenbench.data.plan import Plan
from aigenbench.data.samples.batches import BatchArithmetic, TrainingBatches, WindowBatches
from aigenbench.data.samples.dataset import TrainingSamples, WindowSamples
from aigenbench.data.samples.hooks import AugmentationHooks
from aigenbench.errors import InputError
from aigenbench.protocol.published import GENERATORS_PER_WINDOW

if TYPE_CHECKING:
    from torch.utils.data import DataLoader


@dataclass(frozen=True)
class ServedWindow:
    """What a pipeline serves under a Trainer.

    Attributes:
        plan: what is used of the data set.
        window: index of the window.
        seed: of the order of samples.
        loaders: ready loaders of training and validation, where the windows loop made them.
    """

    plan: Plan
    window: int
    seed: int
    loaders: tuple[Any, Any] | None = None


class WindowDataModule(LightningDataModule):
    """Serves a window of a data set: what the pipeline knows of it, under the names that Lightning asks for."""

    augmentation_factor: int
    served: ServedWindow | None = None
    """What ``use_window`` chose, or the windows loop is at."""

    @abstractmethod
    def plan(self, n_generators_per_window: int = GENERATORS_PER_WINDOW, benchmark_type: str = "cumulative") -> Plan:
        """Windows, training rows and evaluation set of the data set."""

    @abstractmethod
    def arithmetic(self, devices: int = 1, accumulate: int = 1) -> BatchArithmetic:
        """The overall batch for so many devices and accumulation parts."""

    @abstractmethod
    def training_samples(self, plan: Plan, hooks: AugmentationHooks, window: int) -> TrainingSamples:
        """The training samples of a window."""

    @abstractmethod
    def training_loader(
        self, plan: Plan, hooks: AugmentationHooks, batches: TrainingBatches | WindowBatches, window: int
    ) -> DataLoader[Any]:
        """Training batches of a window."""

    @abstractmethod
    def evaluation_loader(
        self, plan: Plan, hooks: AugmentationHooks, stage: str, rank: int = 0, world: int = 1
    ) -> DataLoader[Any]:
        """Batches of ``validate`` or ``test``."""

    @abstractmethod
    def training_fingerprint(self, plan: Plan, window: int) -> str | None:
        """Of the images that a window trains on."""

    # under a Trainer of one's own

    def use_window(
        self,
        window: int = 0,
        seed: int = DEFAULT_SEED,
        n_generators_per_window: int = GENERATORS_PER_WINDOW,
        benchmark_type: str = "cumulative",
    ) -> None:
        """Choose the window that a Trainer of one's own gets by ``fit(detector, datamodule=pipeline)``.

        Without a call it is the first. On several devices the Trainer needs ``use_distributed_sampler=False``.

        Args:
            window: index of the window.
            seed: of the order of samples and of what is random on the device, as ``seed_everything`` of a run.
            n_generators_per_window: as in a config.
            benchmark_type: as in a config.

        Raises:
            InputError: the data set cannot be used, or has no such window.
        """
        plan = self.plan(n_generators_per_window, benchmark_type)
        if not 0 <= window < len(plan.windows):
            raise InputError(f"there is no window {window}; windows are 0..{len(plan.windows) - 1}")
        self.served = ServedWindow(plan, window, seed)

    def serve(self, plan: Plan, window: int, seed: int, loaders: tuple[Any, Any]) -> None:
        """Take note of what the windows loop is at; ``loaders`` of its training and validation are made already."""
        self.served = ServedWindow(plan, window, seed, loaders)

    def serving(self) -> ServedWindow:
        """What is served; the first window where nothing was chosen."""
        if self.served is None:
            self.use_window()
        assert self.served is not None, "just chosen"
        return self.served

    def train_dataloader(self) -> Any:
        """Training batches of the window, for Lightning."""
        served = self.serving()
        if served.loaders is not None:
            return served.loaders[0]
        trainer: Any = self.trainer
        arithmetic = self.arithmetic(trainer.world_size, trainer.accumulate_grad_batches)
        rows, copies = len(served.plan.training.rows(served.window)), self.augmentation_factor
        place = (served.seed, served.window)

        def of_epoch(epoch: int, start: int) -> TrainingBatches:
            return TrainingBatches(rows, copies, arithmetic, *place, epoch, start, trainer.global_rank)

        return self.training_loader(served.plan, trainer.lightning_module, WindowBatches(of_epoch), served.window)

    def val_dataloader(self) -> Any:
        """Batches of validation, for Lightning."""
        served = self.serving()
        return self._evaluated("validate") if served.loaders is None else served.loaders[1]

    def test_dataloader(self) -> Any:
        """Batches of test, for Lightning."""
        return self._evaluated("test")

    def _evaluated(self, stage: str) -> Any:
        trainer: Any = self.trainer
        share = (trainer.global_rank, trainer.world_size)
        return self.evaluation_loader(self.serving().plan, trainer.lightning_module, stage, *share)

    # what a detector's own code may ask, once a window is served

    @property
    def num_generators(self) -> int:
        """Generators of the timeline, and one for real images."""
        return len(self.generator_id_to_name)

    @property
    def generator_id_to_name(self) -> list[str]:
        """Names by generator id; ``""`` for real images."""
        return list(self.serving().plan.timeline.id_to_name)

    @property
    def windows_timeline(self) -> list[list[str]]:
        """Names of every window's generators."""
        return [list(names) for names in self.serving().plan.windows]

    @property
    def available_generators(self) -> list[str]:
        """Names of the generators that the data set holds, by date."""
        return list(self.serving().plan.timeline.names)

    @property
    def generators_so_far(self) -> tuple[list[str], list[int]]:
        """Names and ids of the generators trained on up to the window at hand."""
        served = self.serving()
        names = [name for names in served.plan.windows[: served.window + 1] for name in names]
        return names, [served.plan.timeline.ids[name] for name in names]

    @property
    def sliding_windows_definition(self) -> SlidingWindows | None:
        """The windows, ``current_window`` being the one at hand; None where the whole data set is trained on."""
        served = self.serving()
        if served.plan.benchmark_type == "none":
            return None
        size = max(map(len, served.plan.windows))
        return SlidingWindows(size, served.window, cast("Any", served.plan.benchmark_type))

    @property
    def train_dataset(self) -> WindowSamples:
        """The training samples of the window at hand, one for each copy of an image."""
        served = self.serving()
        trainer: Any = self.trainer
        samples = self.training_samples(served.plan, trainer.lightning_module, served.window)
        chosen = served.plan.training.samples(served.window, self.augmentation_factor)
        return WindowSamples(samples, self.augmentation_factor, chosen)
