"""SST-2 as a task file: the sentences of its development set to train on, those of its test set to be tried."""

import csv
import json
from pathlib import Path

SOURCE = Path("../shared/data/text-sst2")
SPLITS = {"train": "sst2_dev.tsv", "test": "sst2_test.tsv"}


def write_images(folder: Path) -> None:
    with (folder / "sst2.jsonl").open("w", encoding="utf-8") as written:
        for split, name in SPLITS.items():
            with (SOURCE / name).open(encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                    document = {"prompt": row["sentence"].strip(), "label": int(row["label"]), "split": split}
                    written.write(json.dumps(document) + "\n")
