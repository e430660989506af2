"""Writes that are acknowledged, and whether they are still there afterwards."""
