"""The last good models on disk: a restart without MLflow serves one of them."""

from __future__ import annotations

import json
import logging
import os
import shutil
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from carprice import strict_json
from carprice.lifecycle.registry import PRODUCTION
from carprice.lifecycle.saved_models import load_folder
from carprice.store import DataRoot
from price_api.model_story import tables_from
from price_api.serving import NoSnapshot, Serving, Tables, TrainingData, check

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

KEPT = 3
_POINTER = "last_good.json"
_PARTIAL = ".partial-"


class ModelCache:
    """A folder of models, one folder per version: `model/`, `meta.json`, `card.html`, the listings.

    The folder of a version appears as a whole or not at all; the pointer to the newest is written last.
    """

    def __init__(self, folder: str, root: DataRoot) -> None:
        self._folder = folder
        self._root = root

    def new_folder(self) -> str:
        """An empty folder beside the cached ones, to download into."""
        path = os.path.join(self._folder, f"{_PARTIAL}{uuid.uuid4().hex[:8]}")
        os.makedirs(path)
        return path

    def sweep(self) -> None:
        """Remove the partial folders of a process that was killed."""
        if os.path.isdir(self._folder):
            for name in os.listdir(self._folder):
                if name.startswith(_PARTIAL):
                    shutil.rmtree(os.path.join(self._folder, name), ignore_errors=True)

    def keep(self, serving: Serving, model_folder: str | None) -> None:
        """Make `serving` the last good one. `model_folder` has its files if they are not cached yet.

        A model is cached even if the listings of its snapshot are missing.
        """
        target = os.path.join(self._folder, serving.version)
        if self.holds(serving.version, serving.run_id):
            self._write_json(os.path.join(target, "meta.json"), serving.about)
        elif model_folder is not None:
            self._write(serving, model_folder, target)
        else:
            return
        pointer = {"version": serving.version, "run_id": serving.run_id}
        self._write_json(os.path.join(self._folder, _POINTER), pointer)
        for version in list(self._versions())[KEPT:]:
            shutil.rmtree(os.path.join(self._folder, version), ignore_errors=True)

    def _write(self, serving: Serving, model_folder: str, target: str) -> None:
        partial = self.new_folder()
        try:
            shutil.copytree(model_folder, os.path.join(partial, "model"))
            self._write_json(os.path.join(partial, "meta.json"), serving.about)
            if serving.card is not None:
                with open(os.path.join(partial, "card.html"), "w", encoding="utf-8") as file:
                    file.write(serving.card)
            try:
                tables = serving.training_data.tables
                tables.listings.to_parquet(os.path.join(partial, "listings.parquet"), index=False)
                tables.reference.to_parquet(os.path.join(partial, "reference.parquet"), index=False)
                self._write_json(os.path.join(partial, "options.json"), tables.options)
            except NoSnapshot as problem:
                log.warning("version %s is cached without listings: %s", serving.version, problem)
            shutil.rmtree(target, ignore_errors=True)
            os.rename(partial, target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def last_good(self) -> Serving | None:
        """The newest cached model that loads and passes its check, or None."""
        for version in self._versions():
            try:
                return self.load(version)
            except Exception as problem:  # noqa: BLE001 - whatever is broken on disk, the next may load
                log.warning("the cached version %s can't be used and is skipped: %s", version, problem)
        return None

    def holds(self, version: str, run_id: str) -> bool:
        """Whether this model is cached."""
        try:
            return bool(self._about(version)["run_id"] == run_id)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def load(self, version: str) -> Serving:
        """A cached version, checked. Raises if the model is damaged.

        If only the listings are damaged, they come from the data root at their first use.
        """
        folder = os.path.join(self._folder, version)
        about = self._about(version)
        loaded = load_folder(os.path.join(folder, "model"), f"the cached version {version}")
        check(loaded, version)
        card = None
        if os.path.exists(os.path.join(folder, "card.html")):
            with open(os.path.join(folder, "card.html"), encoding="utf-8") as file:
                card = file.read()
        tables = self._tables(folder, about)
        return Serving(
            version=version,
            run_id=about["run_id"],
            alias=PRODUCTION,
            pipeline=loaded.pipeline,
            about=about,
            card=card,
            training_data=TrainingData(
                loaded.pipeline, lambda: tables or tables_from(self._root, about["training"]["snapshot_id"])
            ),
            loaded_at=datetime.now(UTC),
            source="cache",
        )

    def _about(self, version: str) -> dict[str, Any]:
        with open(os.path.join(self._folder, version, "meta.json"), encoding="utf-8") as file:
            about = json.load(file)
        if str(about["version"]) != version:
            raise ValueError(
                f"expected meta.json of version {version}, found that of version {about['version']}"
            )
        return about  # type: ignore[no-any-return]

    def _tables(self, folder: str, about: dict[str, Any]) -> Tables | None:
        import pandas as pd

        from carprice.listings.asked_days import ASKED_ON
        from carprice.listings.tables import as_canonical

        def table(name: str) -> pd.DataFrame:
            read = pd.read_parquet(os.path.join(folder, name))
            days = {ASKED_ON: read[ASKED_ON]} if ASKED_ON in read else {}
            return as_canonical(read).assign(**days)

        def options() -> Any:
            path = os.path.join(folder, "options.json")
            if not os.path.exists(path):  # an earlier release cached all listings
                return None
            with open(path, encoding="utf-8") as file:
                return json.load(file)

        if not os.path.exists(os.path.join(folder, "listings.parquet")):
            return None
        try:
            listings, reference = table("listings.parquet"), table("reference.parquet")
            return Tables(str(about["training"]["snapshot_id"]), listings, reference, options())
        except Exception as problem:  # noqa: BLE001 - prices do not need the listings
            log.warning("the cached listings of version %s can't be read: %s", about["version"], problem)
            return None

    def _versions(self) -> Iterator[str]:
        """The cached versions: the last good one, then the others, newest first."""
        try:
            with open(os.path.join(self._folder, _POINTER), encoding="utf-8") as file:
                last = str(json.load(file)["version"])
        except (OSError, ValueError, KeyError, TypeError):
            last = ""
        try:
            there = [e for e in os.scandir(self._folder) if e.is_dir() and not e.name.startswith(".")]
        except OSError:
            return
        there.sort(key=lambda entry: (entry.name == last, entry.stat().st_mtime), reverse=True)
        for entry in there:
            yield entry.name

    @staticmethod
    def _write_json(path: str, document: Any) -> None:
        partial = f"{path}.part"
        with open(partial, "w", encoding="utf-8") as file:
            file.write(strict_json.dumps(document))
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
