#!/usr/bin/env bash
# The benchmark's nine windows with CLIP ResNet-50. Arguments are passed on and win over what stands here:
#   ./run_training.sh --experiment_info.experiment_id NAME
# PIPELINE, MODEL and LOCAL name other config files; local_config.yaml is used where it exists.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

PIPELINE=${PIPELINE:-training_configurations/benchmark_pipelines/base_benchmark_sliding_windows.yaml}
MODEL=${MODEL:-training_configurations/RN50_clip/RN50_clip_tune_resize.yaml}
LOCAL=${LOCAL:-local_config.yaml}
PYTHON=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python)}

configs=(--config "$PIPELINE" --config "$MODEL")
[ -f "$LOCAL" ] && configs+=(--config "$LOCAL")
exec "$PYTHON" lightning_main.py fit "${configs[@]}" "$@"
