"""Programs that run by themselves inside a container, with whatever Python is there."""
