"""Rehearsals: steady state, faults by schedule, steady state."""
