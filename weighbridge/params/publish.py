"""Where runs go: `publish` in `params.yaml`."""

from weighbridge.params.section import Name, Section


class Publish(Section):
    experiment: str = "weighbridge"
    trackers: list[Name] = ["mlflow", "comet"]
