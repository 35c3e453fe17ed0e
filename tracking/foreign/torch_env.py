"""Facts out of the text of `torch.utils.collect_env`, which evaluation tools keep as one string."""

import re

from tracking.runs.facts import Facts

LINES = {
    "package.torch": r"PyTorch version: (\S+)",
    "torch.cuda": r"CUDA used to build PyTorch: (\S+)",
    "torch.hip": r"ROCM used to build PyTorch: (\S+)",
    "torch.debug": r"Is debug build: (\S+)",
    "os.libc": r"Libc version: (\S+)",
    "os.system": r"OS: (.+)",
    "python.version": r"Python version: (\d[\w.]*)",
    "torch.cuda.available": r"Is CUDA available: (\S+)",
    "cuda.runtime": r"CUDA runtime version: (\S+)",
    "gpu.driver": r"Nvidia driver version: (\S+)",
    "torch.xnnpack": r"Is XNNPACK available: (\S+)",
    "cpu.model": r"Model name:\s+(.+)",
    "cpu.flags": r"Flags:\s+(.+)",
}
ABSENT = {"N/A", "None", "Could", "Could not collect"}


def torch_environment(text: str) -> Facts:
    """Facts ``package.torch``, ``gpu.0.name``, ``cpu.model`` ...; a line that is missing or says N/A gives none."""
    facts: Facts = {}
    for name, pattern in LINES.items():
        found = re.search(rf"^{pattern}\s*$", text, re.MULTILINE)
        if found and found[1].strip() not in ABSENT:
            facts[name] = found[1].strip()
    for index, name in re.findall(r"GPU (\d+): (.+)", text):
        facts[f"gpu.{index}.name"] = name.strip()
    for package, version in re.findall(r"^\[pip3\] ([\w.-]+)==(\S+)", text, re.MULTILINE):
        facts[f"package.{package.lower().replace('_', '-')}"] = version
    return dict(sorted(facts.items()))
