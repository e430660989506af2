"""What a stack file would break, found before it is deployed: `python -m verify.audit --help`."""
