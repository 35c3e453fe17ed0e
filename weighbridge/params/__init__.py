"""What may be asked in `params.yaml`: one file a section, each key with its default. A stage reads its own sections only."""
