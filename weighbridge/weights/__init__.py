"""Weights files of unknown origin: formats, confined readers, downloads. What comes out is arrays by name."""
