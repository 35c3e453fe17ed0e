"""Which difference changed the number: factors, search, shares, and the certificate that proves it."""
