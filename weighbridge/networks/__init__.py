"""A loaded network: loading by `params.yaml`, class order, modes, layers, and what it scores. No framework is imported here."""
