"""Modules of a user's, as estimators build or copy them."""

from typing import Any

from tinygrad_lite import nn


class Tanh(nn.Sequential):
    def __init__(self, n_features_in: int, n_outputs: int, hidden: int = 20) -> None:
        super().__init__(nn.Linear(n_features_in, hidden), nn.Tanh(), nn.Linear(hidden, n_outputs))


def branched(n_features_in: int, n_outputs: int) -> nn.Module:
    """A function that builds a module, with a residual branch and a normalisation."""
    inner = nn.Sequential(nn.Linear(16, 16), nn.GELU())
    return nn.Sequential(nn.Linear(n_features_in, 16), Residual(inner), nn.LayerNorm(16), nn.Linear(16, n_outputs))


class Residual(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        self.inner = inner

    def forward(self, x: Any) -> Any:
        return x + self.inner(x)


class Dropped(nn.Module):
    """A network that draws while it trains, and takes a generator."""

    def __init__(self, n_features_in: int, n_outputs: int, *, rng: Any) -> None:
        self.layers = nn.Sequential(
            nn.Linear(n_features_in, 30, rng=rng),
            nn.ReLU(),
            nn.Dropout(0.1, rng=rng),
            nn.Linear(30, n_outputs, rng=rng),
        )

    def forward(self, x: Any) -> Any:
        return self.layers(x)


class Convolution(nn.Module):
    """Features side by side, as a signal."""

    def __init__(self, n_features_in: int, n_outputs: int) -> None:
        self.kernels = nn.Conv1d(1, 8, 3, padding=1)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(8 * n_features_in, n_outputs))

    def forward(self, x: Any) -> Any:
        return self.head(nn.functional.relu(self.kernels(x[:, None])))


class Recurrent(nn.Module):
    """Features one after another, and a second head that sees all at once."""

    def __init__(self, n_features_in: int, n_outputs: int) -> None:
        self.cell, self.head = nn.GRU(1, 8, batch_first=True), nn.Linear(8, n_outputs)
        self.other_head = nn.Linear(n_features_in, n_outputs)

    def forward(self, x: Any) -> Any:
        return self.head(self.cell(x[:, :, None])[0][:, -1]) + self.other_head(x)


class LinearCode(nn.Module):
    """An autoencoder whose encoder and decoder are methods."""

    def __init__(self, n_features_in: int, n_components: int) -> None:
        self.down, self.up = nn.Linear(n_features_in, n_components), nn.Linear(n_components, n_features_in)

    def encoder(self, x: Any) -> Any:
        return self.down(x)

    def decoder(self, code: Any) -> Any:
        return self.up(code)

    def forward(self, x: Any) -> Any:
        return self.decoder(self.encoder(x))
