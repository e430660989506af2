"""The harness's own tests may run pytest inside pytest."""

pytest_plugins = ["pytester"]
