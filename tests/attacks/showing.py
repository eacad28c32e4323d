"""Outputs and prose that would run in the browser of who reads the feedback; the points are earned honestly."""

from tests.attacks.attack import SOLVED, Attack, disturbs, filled, own, saves

SCRIPT = "<script>alert(1)</script>"


def notes(kind: str, text: str, **more) -> dict:
    notebook = filled(SOLVED)
    notebook["cells"] += [own(text, kind, **more)]
    return notebook


ATTACKS = [
    disturbs(
        "script-in-outputs",
        "displays HTML, script, SVG, LaTeX, a PDF, a widget and a type of its own",
        first=f"""
        for mime, data in {{
            "text/html": "{SCRIPT}",
            "application/javascript": "alert(1)",
            "image/svg+xml": "<svg onload='alert(1)'/>",
            "text/latex": "\\\\href{{javascript:alert(1)}}{{x}}",
            "application/pdf": "JVBERi0=",
            "application/vnd.jupyter.widget-view+json": {{"model_id": "x"}},
            "text/markdown": "{SCRIPT}",
            "image/png": "{SCRIPT}",
            "image/gif": "R0lGODlh",
        }}.items():
            display({{mime: data, "text/plain": "shown"}}, raw=True)
        """,
        never=(SCRIPT, "<svg", "javascript:"),
    ),
    disturbs(
        "no-picture",
        "displays as a picture what is none",
        first="""
        import base64
        for data in (b"<script>alert(1)</script>", b"\\x89PNG\\r\\n\\x1a\\n<svg onload=alert(1)>" * 9, b""):
            display({"image/png": base64.b64encode(data).decode()}, raw=True)
        display({"image/png": 7}, raw=True)
        """,
    ),
    disturbs(
        "script-in-an-exception",
        "raises an exception whose name and text are markup and terminal codes",
        first=f"raise type('{SCRIPT}', (Exception,), {{}})('{SCRIPT} \\x1b]8;;javascript:alert(1)\\x07link')",
    ),
    disturbs(
        "odd-messages",
        "sends outputs that break the format: wrong types, odd names, updates of what never was",
        first="""
        kernel = get_ipython().kernel
        for kind, content in [
            ("stream", {"name": 7, "text": ["a"]}), ("stream", {}), ("display_data", {"data": 3, "metadata": None}),
            ("execute_result", {"data": {"text/plain": {"a": 1}}, "metadata": [], "execution_count": "x"}),
            ("error", {"ename": 1, "evalue": None, "traceback": "no list"}), ("clear_output", {"wait": "x"}),
            ("update_display_data", {"data": {}, "metadata": {}, "transient": {"display_id": []}}),
            ("comm_open", {"comm_id": "x"}), ("status", {"execution_state": "idle"}), ("nothing", {}),
        ]:
            kernel.session.send(kernel.iopub_socket, kind, content, parent=kernel.get_parent())
        """,
    ),
    disturbs(
        "asks-for-input",
        "asks for input, and for a pager and for the next cell's text",
        first="""
        get_ipython().set_next_input("x" * 1000)
        print.__call__
        ?print
        input("the answer, please: ")
        """,
    ),
    Attack(
        "script-in-prose",
        "writes script, frames and event handlers in its own prose",
        saves(
            notes(
                "markdown",
                f"{SCRIPT} <img src=x onerror=alert(1)> [x](javascript:alert(1)) <iframe srcdoc='{SCRIPT}'></iframe>",
                attachments={"a.svg": {"image/svg+xml": "<svg onload='alert(1)'/>"}},
            )
        ),
        {"softmax": 3, "distance": 3, "scale": 3, "attend": 3, "integration": 2},
    ),
    Attack(
        "saved-outputs",
        "hands in outputs that were never made, with script in them",
        saves(
            notes(
                "code",
                "1",
                outputs=[{"output_type": "display_data", "data": {"text/html": SCRIPT}, "metadata": {}}],
            )
        ),
        {"softmax": 3, "distance": 3, "scale": 3, "attend": 3, "integration": 2},
        never=(SCRIPT,),
    ),
]
