#!/usr/bin/env bash
#SBATCH --cpus-per-task=2
# One model a task: the models of params.yaml, in their order, are 0, 1, 2 ... Submit it from the project's folder.
set -euo pipefail
project=$PWD
model=$(python -c '
import sys
from ruamel.yaml import YAML
print(list(YAML(typ="safe").load(open("params.yaml"))["models"])[int(sys.argv[1])])
' "${SLURM_ARRAY_TASK_ID:?submit it with --array}")
clone=$(mktemp -d)
trap 'rm -rf "$clone"' EXIT
git clone --quiet --shared "$project" "$clone/project"
cd "$clone/project"
cp "$project/params.yaml" params.yaml # a suite that is in use and not committed
for path in "$project"/*; do # images and weights that git does not have
    [ -e "${path##*/}" ] || ln -s "$path" .
done
dvc cache dir --local "$project/.dvc/cache"
weighbridge repro --jobs 1 "record@$model"
