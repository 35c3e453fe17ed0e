"""This process as a stage: its arguments, exit codes, progress, and libraries made loadable."""
