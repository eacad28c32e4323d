"""The hub that `make up` starts: JupyterHub's settings for one machine and one ordinary operating-system user.

Everybody on it runs as the user who started it, so it does not protect students from each other; course/deploy/ holds
the class server, which does. `course.up` starts this file and hands it the ports and the passwords in the environment.
"""

import os
import sys
from pathlib import Path

c = get_config()  # handed in by JupyterHub
root = Path(__file__).resolve().parents[2]
run = root / "course" / "run"
deploy = root / "course" / "deploy"

students = ["alice", "bob", "carol"]
book = f"http://127.0.0.1:{os.environ['COURSE_BOOK_PORT']}/"
warning = (
    "A course to try on one machine. Everybody here runs as the same operating-system user: "
    "this set-up does not protect students from each other. For a class, see course/deploy/. "
    f'<a href="{book}">Read the book</a>.'
)

c.JupyterHub.bind_url = f"http://127.0.0.1:{os.environ['COURSE_PORT']}"
c.JupyterHub.hub_ip = "127.0.0.1"
c.JupyterHub.hub_port = int(os.environ["COURSE_HUB_PORT"])
c.JupyterHub.db_url = f"sqlite:///{run / 'hub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(run / "cookie_secret")
c.ConfigurableHTTPProxy.command = [
    str(Path(sys.executable).parent / "configurable-http-proxy"),
    "--proxy-timeout=1200000",  # milliseconds; by default it drops grading and validating after 20 seconds
]
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{os.environ['COURSE_PROXY_PORT']}"
c.ConfigurableHTTPProxy.pid_file = str(run / "proxy.pid")
c.JupyterHub.template_vars = {"announcement": warning}

c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = os.environ["COURSE_STUDENT_PASSWORD"]
c.SharedPasswordAuthenticator.admin_password = os.environ["COURSE_INSTRUCTOR_PASSWORD"]
c.Authenticator.allowed_users = set(students)
c.Authenticator.admin_users = {"instructor"}

c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = str(run / "home" / "{username}")
c.Spawner.cmd = [sys.executable, "-m", "jupyterhub.singleuser"]
c.Spawner.args = ["--allow-root"] if os.geteuid() == 0 else []
c.Spawner.default_url = "/lab"  # of the instructor; the student's settings name the course page
c.Spawner.start_timeout = 120
c.Spawner.http_timeout = 60


def prepare(spawner):
    """Give the instructor the course and its settings, a student a home of their own and the student's settings."""
    home = run / "home" / spawner.user.name
    home.mkdir(parents=True, exist_ok=True)
    instructor = spawner.user.name not in students
    settings = [root / "course", deploy / "instructor"] if instructor else [deploy / "student"]
    spawner.notebook_dir = str(root if instructor else home)
    spawner.environment = {
        "JUPYTER_CONFIG_PATH": os.pathsep.join(map(str, settings)),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    if instructor and "COURSE_WITHOUT_SANDBOX" in os.environ:  # set by course.up where the sandbox cannot run
        spawner.environment["COURSE_WITHOUT_SANDBOX"] = os.environ["COURSE_WITHOUT_SANDBOX"]
    if not instructor:
        spawner.environment["COURSE_EXCHANGE"] = str(run / "exchange")
        spawner.environment["COURSE_BOOK"] = book


c.Spawner.pre_spawn_hook = prepare
