"""The files that machines fetch: their manifest, names, digests, signatures, and who uses them."""
