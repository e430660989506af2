"""What runs inside a Locust process. Importing it patches nothing, but it needs gevent."""
