"""Programs that run on a node, each one file that needs nothing but Python's smallest library."""
