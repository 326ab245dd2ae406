"""The times of a made account: logs first, then the snapshot."""

from __future__ import annotations

from datetime import UTC, datetime

LOGS_BEGIN = datetime(2026, 8, 20, tzinfo=UTC)
CAPTURED_AT = datetime(2026, 8, 21, 6, tzinfo=UTC)
CREATED_AT = datetime(2026, 8, 11, 8, 30, tzinfo=UTC)


def rfc3339(moment: datetime) -> str:
    """As Kubernetes writes times."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def aws_time(moment: datetime) -> str:
    """As the AWS CLI prints times."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S+00:00")
