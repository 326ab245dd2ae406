import pytest

from fastroute.api import Engine, Snapshot
from tests.zoo import everything


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The zoo of tests: vpc-a with four nodes and every kind of neighbour, peered vpc-b, attached vpc-c."""
    return Snapshot(everything()).compile()
