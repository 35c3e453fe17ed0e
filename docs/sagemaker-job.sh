#!/usr/bin/env bash
# The command of a training job, in the project's folder: runs the job of params.yaml and keeps its records where SageMaker
# takes a job's output from. Its exit code is that of the pipeline.
set -uo pipefail
kept=${SM_MODEL_DIR:-/opt/ml/model}
weighbridge repro
status=$?
mkdir -p "$kept"
for path in data/runs data/journal data/report.html; do
    [ -e "$path" ] && cp -R "$path" "$kept"
done
exit "$status"
