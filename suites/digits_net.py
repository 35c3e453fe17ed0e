"""A small convolutional network with BatchNorm, which learns handwritten digits in seconds."""

from torch import nn


def digits_net(num_classes: int) -> nn.Module:
    """Three convolutions and a hidden layer, for images of 16 x 16 pixels."""
    return nn.Sequential(
        *_convolution(3, 16),
        *_convolution(16, 32),
        nn.MaxPool2d(2),
        *_convolution(32, 32),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 4 * 4, 64),
        nn.ReLU(),
        nn.Linear(64, num_classes),
    )


def _convolution(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
