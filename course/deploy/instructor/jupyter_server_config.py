"""Jupyter's settings for the instructor on a hub."""

import os
import sys
from pathlib import Path

c = get_config()  # handed in by Jupyter

# formgrader opens in a frame of its own server's page; the hub's default policy forbids every frame.
c.ServerApp.tornado_settings = {"headers": {"Content-Security-Policy": "frame-ancestors 'self'"}}

# The course's formgrader (course/pages/formgrader.py) in place of nbgrader's. The folder course/ is one of those that
# Jupyter reads its settings from, because nbgrader's settings lie there.
for folder in map(Path, os.environ.get("JUPYTER_CONFIG_PATH", "").split(os.pathsep)):
    if (folder / "nbgrader_config.py").is_file() and (folder / "pages" / "formgrader.py").is_file():
        sys.path.append(str(folder.parent))
        c.ServerApp.jpserver_extensions = {
            "nbgrader.server_extensions.formgrader": False,
            "course.pages.formgrader": True,
        }
