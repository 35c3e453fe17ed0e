"""Where runs go: `publish` in `params.yaml`."""

from weighbridge.params.section import Name, Section


class Publish(Section):
    experiment: str
    trackers: list[Name]
