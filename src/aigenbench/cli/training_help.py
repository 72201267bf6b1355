"""What `aigenbench fit --help` prints, without importing anything that it speaks of."""

from __future__ import annotations

_TEXT = """\
usage: aigenbench {subcommand} {positionals}[--config FILE ...] [--import FILE.py ...] [--KEY=VALUE ...]

{purpose}

{example}

Config files merge from left to right: the pipeline's first, then the model's, then your own. What is typed as
--KEY=VALUE wins over all of them, wherever it stands.

options:
  --config FILE          a config file, also one of the packaged training_configurations/ by its path in there; repeats
  --import FILE.py       Python to run first: your models and classes; a module's name will do; repeats
  --print_config         print the merged configuration, which runs again as a config, and stop
  --allow_config_change  let an experiment go on with another configuration than it was begun with; its folder and
                         its results keep what was changed
  --allow_config_order   let a model's config stand before the pipeline's, which then overrides it
  --help                 this page
  --SECTION.help         all keys of trainer, model, data or checkpoint_callback
  --KEY.help=CLASS       the arguments of a class, such as --model.optimizer.help=torch.optim.AdamW

keys:
  --dataset_path         the data set's folder
  --timeline             YAML or CSV with generators of your own: --data.timeline
  --model.model_name     the model; see `aigenbench models`
  --model.KEY            of the detector: optimizer, scheduler, model_input_size, training_cropping_strategy,
                         evaluation_cropping_strategy, training_task, evaluation_type, base_weights, model_args ...
  --data.KEY             of the data: train_batch_size, eval_batch_size, num_workers, train_subset_size,
                         validation_subset_size, augmentation_factor, predict_path ...
  --trainer.KEY          of Lightning's Trainer: max_epochs, precision, devices, accumulate_grad_batches, logger ...
  --experiment_info.KEY  experiment_id, experiment_name_prefix, window_name_prefix, experiments_data_folder,
                         logging_initial_step, checkpoint_every_n_minutes, checkpoint_every_n_steps, heads, extends,
                         strategy,
                         sliding_windows_definition.{{n_generators_per_window, current_window, benchmark_type}}
  --checkpoint_callback.KEY  of a ModelCheckpoint of your own, beside the checkpoints that resuming needs
  --metrics.NAME         a metric of your own by its path: function of (labels, probabilities), or torchmetrics class
  --ckpt_path            the checkpoint to evaluate or predict with
  --weights_dir          where backbones' weights are looked for and kept
  --seed_everything      the run's seed (42); it never touches the pixels of an evaluation
  --imports              like --import, as a list

A key takes its value after `=` or a space. KEY+=VALUE appends to a list: --trainer.callbacks+=LearningRateMonitor"""

_CONFIGS = """\
  aigenbench {subcommand} --config benchmark_pipelines/base_benchmark_sliding_windows.yaml \\
      --config RN50_clip/RN50_clip_tune_resize.yaml --dataset_path FOLDER --experiment_info.experiment_id NAME"""

_PREDICT = """\
  aigenbench predict experiments_data/experiment_NAME photo.jpg FOLDER
  aigenbench predict experiments_data/experiment_NAME/window_8/final.ckpt FOLDER"""

# what each does, what it takes beside keys, and how it is typed
_OF_EACH = {
    "fit": (
        "Train a detector window by window and evaluate it after each. Typed again, it goes on where it stopped.",
        "",
        _CONFIGS,
    ),
    "validate": ("Evaluate the finished windows of an experiment on its validation images.", "", _CONFIGS),
    "test": ("Evaluate the finished windows of an experiment on its test images.", "", _CONFIGS),
    "predict": (
        "Score pictures and folders that need no labels with the weights of an experiment, or of one checkpoint. The\n"
        "older form, with the configs of fit and --data.predict_path, works too.",
        "EXPERIMENT_OR_CHECKPOINT PATH ... ",
        _PREDICT,
    ),
}


def training_help(subcommand: str) -> str:
    """The page for `fit`, `validate`, `test` or `predict`."""
    purpose, positionals, example = _OF_EACH[subcommand]
    example = example.format(subcommand=subcommand)
    return _TEXT.format(subcommand=subcommand, purpose=purpose, positionals=positionals, example=example)
