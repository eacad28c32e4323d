"""Controls that compute in the page: in the static book without a kernel, and in JupyterLab with one.

A control is an anywidget in a folder of its own, found by itself: `labkit.widgets.token_steps` holds `TokenSteps`.
What several controls share lies here, beside the folders. Importing a control loads neither torch nor a world.
"""
