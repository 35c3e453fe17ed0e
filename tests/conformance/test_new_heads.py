"""New heads on torch networks whose last layer is not the one that comes last: verified when first asked, never trusted."""

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
nn = torch.nn

from tracking.runs.errors import UserError  # noqa: E402
from weighbridge.frameworks import Training  # noqa: E402
from weighbridge.frameworks._torch import TorchNetwork  # noqa: E402

IMAGES = np.random.default_rng(0).normal(size=(4, 6, 6, 3)).astype(np.float32)
REFUSED = "taken for its last layer, does not give the scores|cannot take a batch"


class Net(nn.Module):
    """A backbone, and a head; what further layers are registered, and how they are used, says a subclass."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.head = nn.Linear(8, 10)
        self.more()

    def more(self) -> None:
        pass

    def forward(self, images: Any) -> Any:
        return self.head(self.body(images))


class UnusedAfter(Net):
    def more(self) -> None:
        self.projection = nn.Linear(8, 8)


class UsedBefore(UnusedAfter):
    def forward(self, images: Any) -> Any:
        return self.head(self.projection(self.body(images)))


class Bound(Net):
    """A method stored on the module itself stays with the first module when the module is copied."""

    def more(self) -> None:
        self.ask = self.scores

    def scores(self, images: Any) -> Any:
        return self.head(self.body(images))

    def forward(self, images: Any) -> Any:
        return self.ask(images)


class Softened(Net):
    def forward(self, images: Any) -> Any:
        return super().forward(images).mul(3).log_softmax(dim=1)


class Convolved(Net):
    def more(self) -> None:
        self.head = nn.Conv2d(8, 10, 1)

    def forward(self, images: Any) -> Any:
        return self.head(self.body[:3](images)).mean(dim=(2, 3))


@pytest.mark.parametrize("kind", [UnusedAfter, UsedBefore, Bound])
@pytest.mark.parametrize("classes", [2, 8, 10])
@pytest.mark.parametrize("way", ["predict", "fit"])
def test_a_new_head_that_does_not_give_the_scores_is_refused(kind: Any, classes: int, way: str) -> None:
    headed = TorchNetwork(kind(), "cpu").retarget(classes, 0)
    labels, training = np.array([0, 1, 0, 1]), Training("sgd", 0.1, 0.9, 1, 2, 0, 0, "x")
    use = {"predict": lambda: headed.predict(IMAGES), "fit": lambda: headed.fit(IMAGES, labels, training)}[way]
    with pytest.raises(UserError, match=REFUSED):
        use()


@pytest.mark.parametrize("kind", [Net, Softened, Convolved])
@pytest.mark.parametrize("classes", [2, 10])
def test_a_new_head_that_gives_the_scores_passes_and_nothing_moves_by_looking(kind: Any, classes: int) -> None:
    network = TorchNetwork(kind(), "cpu")
    own = network.weights()
    assert network.retarget(classes, 0).predict(IMAGES).shape == (4, classes)
    assert all(np.array_equal(value, own[name]) for name, value in network.weights().items())


def test_a_layer_that_is_named_is_the_one_that_is_replaced() -> None:
    assert TorchNetwork(UnusedAfter(), "cpu", last=["head"]).retarget(2, 0).predict(IMAGES).shape == (4, 2)


def test_features_of_a_linear_layer_over_a_map_are_means_over_its_places() -> None:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = nn.Conv2d(3, 8, 3), nn.Linear(8, 5)

        def forward(self, images: Any) -> Any:
            return self.head(self.body(images).permute(0, 2, 3, 1)).mean(dim=(1, 2))

    network = TorchNetwork(Last(), "cpu")
    with torch.no_grad():
        maps = network.module.body(torch.from_numpy(IMAGES.transpose(0, 3, 1, 2).copy())).numpy()
    assert np.allclose(network.features(IMAGES), maps.mean(axis=(2, 3)), atol=1e-6)


def test_batchnorm_gets_its_own_momentum_back() -> None:
    module = Net()
    module.body[1].momentum = 0.0003
    network = TorchNetwork(module, "cpu")
    network.set_batchnorm_momentum(0.0)
    assert module.body[1].momentum == 1
    network.set_batchnorm_momentum(None)
    assert module.body[1].momentum == 0.0003


def test_a_single_training_image_is_refused_in_a_line() -> None:
    with pytest.raises(UserError, match="x: 1 training image: two are needed"):
        TorchNetwork(Net(), "cpu").fit(IMAGES[:1], np.array([0]), Training("sgd", 0.1, 0.9, 1, 2, 0, 0, "x"))
