"""Features on several twins at once: one run, one folder, one sign-off.

pytest-xdist starts the workers and talks to them. What is ours: which file goes where (`order`,
`scheduling`), how what the workers measured becomes one run (`gathering`), and how their progress
reaches the terminal (`lines`). `plugin` joins these to pytest.
"""
