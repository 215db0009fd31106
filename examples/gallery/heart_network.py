"""
The heart-disease network
=========================

The tutorial's network takes 13 measurements of a patient, and has 8 hidden units and one probability. The loss is the
mean cross-entropy over 4 patients. The graph names parameters after the path of their module, and arrays after the
variable that holds them. Gradients come back along the blue lines.
"""

from pathlib import Path

import numpy as np

import tinygrad_lite as tg
from tinygrad_lite import nn


class Network(nn.Module):
    def __init__(self):
        self.hidden = nn.Linear(13, 8, rng=0)
        self.output = nn.Linear(8, 1, rng=1)

    def forward(self, x):
        return self.output(nn.functional.relu(self.hidden(x)))


data, disease = tg.datasets.load_heart(return_X_y=True)
patients = ((data - data.mean(axis=0)) / data.std(axis=0))[:4]
target = disease[:4, np.newaxis].astype(float)
model = Network()


def loss_of(patients, target):
    return nn.functional.binary_cross_entropy_with_logits(model(patients), target)


lesson = tg.explain(loss_of, patients, target)
Path("heart_network.svg").write_text(lesson.to_svg())
lesson.to_html("heart_network_lesson.html")

# %%
# The same lesson ends like this in words:

print(*str(lesson).splitlines()[-12:], sep="\n")
