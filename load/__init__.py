"""Everything that sends timed requests, and what can be concluded from them."""
