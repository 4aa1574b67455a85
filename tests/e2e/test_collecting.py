"""`make demo COLLECT=1`: five simulated days are collected, landed and learned by themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from running_demo import Demo

from carprice.history import collected
from carprice.store import DataRoot

pytestmark = [pytest.mark.e2e, pytest.mark.soak, pytest.mark.timeout(3600)]


def test_five_days_are_collected_landed_and_learned(tmp_path: Path) -> None:
    demo = Demo(tmp_path, runtime="process")
    try:
        demo.start(None, once=True, COLLECT="1")
        assert demo.wait_for_end(3000) == 0
        root = DataRoot(str(demo.data))
        files = sorted(path.name for path in (demo.data / "raw").glob("*.csv"))
        assert len(files) == 5
        receipts = demo.receipts()
        assert {receipt["status"] for receipt in receipts.values()} == {"accepted"}
        manifests = [root.read_json(f"collected/{name}") for name in root.names("collected", ".json")]
        assert {manifest["sha256"] for manifest in manifests} == set(receipts)
        assert all(manifest["complete"] for manifest in manifests)

        told = collected.changes(root)

        assert len(told) == 4
        for change in told:
            assert change["new"] > 0
            assert change["cheaper"] > 0
            assert len(change["gone"]) > 0
        assert len(collected.gone(root)) == sum(len(change["gone"]) - change["back"] for change in told)
    finally:
        demo.close()
