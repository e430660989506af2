"""What can be broken, one module an area."""
