"""SST-2 as a task file: the sentences of its development set to train on, those of its test set to be tried."""

import csv
import json
from pathlib import Path

from tracking.runs.errors import UserError

SOURCE = Path("../shared/data/text-sst2")
SPLITS = {"train": "sst2_dev.tsv", "test": "sst2_test.tsv"}


def write_images(folder: Path) -> None:
    if lost := [name for name in SPLITS.values() if not (SOURCE / name).is_file()]:
        raise UserError(
            f"{SOURCE / lost[0]}: not found; SST-2 is no part of this repository: put its {' and '.join(SPLITS.values())} "
            "(tab-separated, with the columns sentence and label) there, or name their folder in suites/sst2.py"
        )
    with (folder / "sst2.jsonl").open("w", encoding="utf-8") as written:
        for split, name in SPLITS.items():
            with (SOURCE / name).open(encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                    document = {"prompt": row["sentence"].strip(), "label": int(row["label"]), "split": split}
                    written.write(json.dumps(document) + "\n")
