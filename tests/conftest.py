"""Options and hooks of all tests: one topic's tests alone, and the longest first where several workers share them."""

import pytest

from tests.support import costs


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--topic", choices=sorted(costs.TOPICS), help="run only the tests of this topic")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(costs.Costs(), "costs")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if topic := config.getoption("topic"):
        other = [item for item in items if not costs.about(item.nodeid, topic)]
        config.hook.pytest_deselected(items=other)
        items[:] = [item for item in items if costs.about(item.nodeid, topic)]
    if hasattr(config, "workerinput"):  # workers collect, and the controller deals in the order they found
        costs.longest_first(items)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> costs.ByGroup | None:
    return costs.ByGroup(config, log) if config.getoption("dist") == "loadgroup" else None
