"""From image files to arrays: folders, decoders, resizing, recipes, and the samples that stages hand on."""
