"""Jupyter's settings for the instructor on a hub."""

c = get_config()  # handed in by Jupyter

# formgrader opens in a frame of its own server's page; the hub's default policy forbids every frame.
c.ServerApp.tornado_settings = {"headers": {"Content-Security-Policy": "frame-ancestors 'self'"}}
