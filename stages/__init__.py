"""The pipeline: every module here without a leading underscore is one DVC stage."""
