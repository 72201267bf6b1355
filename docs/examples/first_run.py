"""Train on demo data, score with an interval, draw, and score five pictures with the last window's detector."""

import aigenbench as ab

ab.make_demo_data("demo", generators=8, train=8, validation=8)
experiment = ab.fit(
    "benchmark_pipelines/base_benchmark_sliding_windows.yaml",
    overrides={
        "dataset_path": "demo",
        "model.model_name": "small_cnn_tune",
        "model.model_args": {"pretrained": False},
        "model.model_input_size": 64,
        "data.num_workers": 0,
        "experiment_info.experiment_id": "first",
    },
)
headline, intervals = experiment.scores().headline, experiment.intervals(replicates=500)
interval = intervals.headline
if headline.mean is not None and interval is not None:
    print(f"Next-period AUROC {headline.mean:.3f}, 95 % [{interval.low:.3f}, {interval.high:.3f}]")
print("drawn:", experiment.plot("curves.png"))

benchmark = ab.Benchmark("demo")
pictures = [benchmark.image("validation", row) for row in benchmark.evaluation_rows[:5]]
print("probabilities of being fake:", experiment.detector().predict(pictures).round(3))
