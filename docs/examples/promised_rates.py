"""What the operating points of an experiment's windows promise on Past and meet on Next, as a table.

python promised_rates.py experiments_data/experiment_quickstart
"""

import sys

from aigenbench.evaluation.predictions.experiment import load_experiment
from aigenbench.evaluation.statistics.intervals import interval_text
from aigenbench.evaluation.statistics.operating import MISSED, operating_points

experiment = load_experiment(sys.argv[1])
print(
    "| window | reals called generated: promised | met | 95 % | generated called real: promised | met | 95 % | unsure |"
)
print("|---|---|---|---|---|---|---|---|")
for k in experiment.windows:
    _, points = operating_points(experiment, k)
    for point in points:
        wrong, missed = point.measured.reals_called_generated, point.measured.fakes_called_real
        unsure = point.measured.reals_unsure + point.measured.fakes_unsure
        cells = [f"{k}" + ("" if point.period == "Next" else " (Past)"), f"{100 * point.fpr:g} %"]
        cells += [f"{100 * wrong.value:.1f} %", interval_text(wrong.interval), f"{100 * MISSED:g} %"]
        cells += [f"{100 * missed.value:.1f} %", interval_text(missed.interval), f"{100 * unsure.value:.0f} %"]
        print(f"| {' | '.join(cells)} |")
