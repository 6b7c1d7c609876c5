"""What a published study has beside its records, each part a text made from them alone."""
