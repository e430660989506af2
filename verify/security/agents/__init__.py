"""Programs that run by themselves on a machine or in a container, with whatever Python is there."""
