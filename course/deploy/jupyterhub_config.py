"""The hub of a class server: every student is a user of the operating system, which keeps them apart.

README.md beside this file says what an administrator does before. JupyterHub runs this as root, because only root may
start a server in another user's name; every server then runs as its own user.
"""

import grp
import os
import pwd
import sys
from pathlib import Path

c = get_config()  # handed in by JupyterHub
server = Path(os.environ.get("COURSE_SERVER", "/srv/llm-course"))
tools = Path(sys.executable).parent

c.JupyterHub.bind_url = "http://127.0.0.1:8000"  # put a web server with a certificate in front of it
c.JupyterHub.db_url = f"sqlite:///{server / 'hub' / 'hub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(server / "hub" / "cookie_secret")
c.ConfigurableHTTPProxy.command = [
    str(tools / "configurable-http-proxy"),
    "--proxy-timeout=1200000",  # milliseconds; by default it drops grading and validating after 20 seconds
]
c.ConfigurableHTTPProxy.pid_file = str(server / "hub" / "proxy.pid")

c.JupyterHub.authenticator_class = "pam"
c.PAMAuthenticator.allowed_groups = {"llm-students", "llm-instructors"}

c.JupyterHub.spawner_class = "localprocess"
c.Spawner.cmd = [sys.executable, "-m", "jupyterhub.singleuser"]
c.Spawner.default_url = "/lab"  # of instructors; the students' settings name the course page
c.Spawner.start_timeout = 120


def prepare(spawner):
    """Give instructors formgrader and their course, everybody else the student's settings."""
    user = pwd.getpwnam(spawner.user.name)
    instructor = user.pw_name in grp.getgrnam("llm-instructors").gr_mem
    settings = [server / "settings" / ("instructor" if instructor else "student")]
    if instructor:
        settings.insert(0, Path(user.pw_dir) / "llm-course" / "course")
    spawner.notebook_dir = user.pw_dir
    spawner.environment = {
        "JUPYTER_CONFIG_PATH": os.pathsep.join(map(str, settings)),
        "PATH": f"{tools}:/usr/local/bin:/usr/bin:/bin",
        "COURSE_EXCHANGE": str(server / "exchange"),
        "COURSE_BOOK": os.environ.get("COURSE_BOOK", ""),  # where the book is published; empty: no links to it
    }


c.Spawner.pre_spawn_hook = prepare

# The instructor in whose name submissions are graded as they come; empty: only the instructor's commands grade.
if watcher := os.environ.get("COURSE_WATCH"):
    home = pwd.getpwnam(watcher).pw_dir
    c.JupyterHub.services = [
        {
            "name": "marks",
            "user": watcher,
            "command": [sys.executable, "-m", "course.watch"],
            "cwd": f"{home}/llm-course",
            "environment": {
                "HOME": home,
                "PATH": f"{tools}:/usr/local/bin:/usr/bin:/bin",
                "COURSE_EXCHANGE": str(server / "exchange"),
            },
        }
    ]
