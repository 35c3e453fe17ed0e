"""Examples of every command, shown by its `--help`; tests parse each of them."""

EXAMPLES: dict[str, tuple[str, ...]] = {
    "show": ("show", "show resnet18-torchvision", "show results.json:gsm8k.strict-match --json"),
    "diff": (
        "diff resnet18-torchvision here",
        "diff mlflow:0a1b2c mlflow:3d4e5f",
        "diff laptop.json server.json --runtime keras-jax",
    ),
    "runs": ("runs", "runs --subject 'resnet*' --sort top1", "runs --current --json"),
    "audit": (
        "audit e9d8c9662269 resnet18-torchvision",
        "audit results_a.json results_b.json --strict",
        "audit mlflow:0a1b2c mlflow:3d4e5f --metric accuracy",
        "audit dvc:main dvc:workspace --format markdown",
    ),
    "compare": (
        "compare resnet18-onnx resnet18-torchvision --flips 20 --html compare.html",
        "compare results_a.json results_b.json",
    ),
    "matrix": ("matrix data/journal --html matrix.html", "matrix a.json b.json c.json --metric acc_norm"),
    "gate": (
        "gate resnet18-onnx --claim",
        "gate resnet18-onnx --baseline resnet18-torchvision --within 0.5 --by-class",
    ),
    "explain": ("explain e9d8c9662269 resnet18-torchvision",),
    "band": ("band resnet18-torchvision",),
    "reproduce": ("reproduce e9d8c9662269",),
    "verify": ("verify data/certificates/e9d8c9662269-3b0ba4fc8c77.json",),
    "sign": ("sign data/certificates/e9d8c9662269-3b0ba4fc8c77.json --key ~/.ssh/id_ed25519",),
    "use": ("use suites/photos.yaml",),
    "params": ("params", "params --all --json"),
    "weigh": (
        "weigh torchvision/resnet50/IMAGENET1K_V2 --images photos",
        "weigh onnx:net.onnx --images photos --checks all",
    ),
    "repro": ("repro", "repro --dry"),
    "sync": ("sync --dry-run", "sync --to mlflow"),
    "gc": ("gc --dry-run",),
    "ui": ("ui",),
    "doctor": ("doctor", "doctor suites/photos.yaml"),
    "completion": ("completion bash >> ~/.bash_completion",),
}
