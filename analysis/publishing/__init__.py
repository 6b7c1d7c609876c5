"""The parts of a published study beside its records, each a text derived from them alone."""
