"""The CIFAR-10 ResNets of He et al. 2015, section 4.2 (https://arxiv.org/abs/1512.03385), with their shortcut A.

Layer names are those of https://github.com/akamaster/pytorch_resnet_cifar10, whose weights this loads.
"""

import torch
from torch import nn
from torch.nn.functional import pad, relu


class Block(nn.Module):
    """Two 3 x 3 convolutions; where the map shrinks, the shortcut takes every second pixel and pads channels with zeros."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.padding = stride, (outputs - inputs) // 2

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        shortcut = pad(images[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.padding, self.padding))
        inner = self.bn2(self.conv2(relu(self.bn1(self.conv1(images)))))
        return relu(inner + shortcut)


class ResNet(nn.Module):
    """`depth` = 6 n + 2 layers: three stages of n blocks, of 16, 32 and 64 channels."""

    def __init__(self, depth: int, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        blocks = (depth - 2) // 6
        self.layer1 = _stage(16, 16, blocks)
        self.layer2 = _stage(16, 32, blocks)
        self.layer3 = _stage(32, 64, blocks)
        self.linear = nn.Linear(64, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.layer3(self.layer2(self.layer1(relu(self.bn1(self.conv1(images))))))
        return self.linear(maps.mean(dim=(2, 3)))


def _stage(inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    first = Block(inputs, outputs, stride=outputs // inputs)
    return nn.Sequential(first, *(Block(outputs, outputs, stride=1) for _ in range(blocks - 1)))


def resnet(depth: int, num_classes: int) -> nn.Module:
    """ResNet-20, -32, -44, -56 or -110 by `depth`."""
    return ResNet(depth, num_classes)
