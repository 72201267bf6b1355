"""A detector that no run of the protocol has trained: a network of its own, evaluated over all windows.

Run it, or give its function to the command line:

  aigenbench evaluate foreign_detector.py:predict --scores logit --dataset_path demo --knows-until 2021
"""

import numpy as np
import torch
from PIL import Image
from torch import nn

import aigenbench as ab

torch.manual_seed(0)
network = nn.Sequential(
    nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 1)
).eval()
# network.load_state_dict(torch.load("my_weights.pt", weights_only=True))


def predict(images: list[Image.Image]) -> torch.Tensor:
    """Logits of being fake of RGB images of any size; its preprocessing is its own."""
    resized = [np.asarray(image.resize((96, 96)), dtype=np.float32) / 255 - 0.5 for image in images]
    with torch.inference_mode():
        return network(torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2))[:, 0]


if __name__ == "__main__":
    ab.make_demo_data("demo", generators=8, train=8, validation=8)
    experiment = ab.evaluate(predict, "demo", "experiments_data/experiment_foreign", "2018", scores="logit")
    scores = experiment.scores()
    print("Next-period AUROC:", scores.headline.mean)
    print(*scores.notes, sep="\n")
