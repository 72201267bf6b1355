"""What `aigenbench fit --help` prints, without importing anything that it speaks of."""

from __future__ import annotations

_TEXT = """\
usage: aigenbench {subcommand} [--config FILE ...] [--import FILE.py ...] [--KEY=VALUE ...]

{purpose}

Config files merge from left to right: the pipeline's first, then the model's, then your own. What is typed as
--KEY=VALUE wins over all of them, wherever it stands.

  aigenbench fit --config benchmark_pipelines/base_benchmark_sliding_windows.yaml \\
      --config RN50_clip/RN50_clip_tune_resize.yaml --dataset_path FOLDER --experiment_info.experiment_id NAME

options:
  --config FILE          a config file, also one of the packaged training_configurations/ by its path in there; repeats
  --import FILE.py       Python to run first: your models and classes; a module's name will do; repeats
  --print_config         print the merged configuration, which runs again as a config, and stop
  --allow_config_change  let an experiment go on with another configuration than it was begun with
  --help                 this page
  --SECTION.help         all keys of trainer, model, data or checkpoint_callback
  --KEY.help=CLASS       the arguments of a class, such as --model.optimizer.help=torch.optim.AdamW

keys:
  --dataset_path         the data set's folder
  --model.model_name     the model; see `aigenbench models`
  --model.KEY            of the detector: optimizer, scheduler, model_input_size, training_cropping_strategy,
                         evaluation_cropping_strategy, training_task, evaluation_type, base_weights, model_args ...
  --data.KEY             of the data: train_batch_size, eval_batch_size, num_workers, train_subset_size,
                         validation_subset_size, augmentation_factor, predict_path ...
  --trainer.KEY          of Lightning's Trainer: max_epochs, precision, devices, accumulate_grad_batches, logger ...
  --experiment_info.KEY  experiment_id, experiment_name_prefix, window_name_prefix, experiments_data_folder,
                         logging_initial_step, checkpoint_every_n_minutes, checkpoint_every_n_steps, heads,
                         sliding_windows_definition.{{n_generators_per_window, current_window, benchmark_type}}
  --checkpoint_callback.KEY  of a ModelCheckpoint of your own, beside the checkpoints that resuming needs
  --ckpt_path            the checkpoint to evaluate or predict with
  --weights_dir          where backbones' weights are looked for and kept
  --seed_everything      the run's seed (42); it never touches the pixels of an evaluation
  --imports              like --import, as a list

A key takes its value after `=` or a space. KEY+=VALUE appends to a list: --trainer.callbacks+=LearningRateMonitor"""

_PURPOSES = {
    "fit": "Train a detector window by window and evaluate it after each. Typed again, it goes on where it stopped.",
    "validate": "Evaluate the finished windows of an experiment on its validation images.",
    "test": "Evaluate the finished windows of an experiment on its test images.",
    "predict": "Score images that need no labels: --data.predict_path names a folder or data set.",
}


def training_help(subcommand: str) -> str:
    """The page for `fit`, `validate`, `test` or `predict`."""
    return _TEXT.format(subcommand=subcommand, purpose=_PURPOSES[subcommand])
