"""Where results are kept: the results folder, storage shared by nodes, and the copy between them."""
