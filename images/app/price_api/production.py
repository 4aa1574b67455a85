"""Follows the aliases of the registry, and keeps serving the last version while the registry is away."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from carprice.errors import TryAgain
from carprice.lifecycle.registry import PRODUCTION, STAGING, Registry
from carprice.lifecycle.saved_models import load_folder
from carprice.store import DataRoot
from price_api.metrics import Metrics
from price_api.model_cache import ModelCache
from price_api.model_story import as_json, story_of, tables_from
from price_api.regular_look import RegularLook
from price_api.serving import NoSnapshot, Serving, TrainingData, check
from price_contract import answers

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

log = logging.getLogger(__name__)

REMEMBERED = 3
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 20.0, 600.0


@dataclass(frozen=True)
class RefusedVersion:
    """A version that must not serve, and the moment of the next try."""

    key: tuple[str, str]
    reason: str
    at: datetime
    pause: float
    retry_at: float

    def record(self) -> answers.RefusedVersion:
        """As JSON."""
        return {
            "version": self.key[0],
            "reason": self.reason,
            "at": self.at.isoformat(timespec="seconds"),
        }


class Follower:
    """A thread that looks at the aliases and swaps the versions that serve.

    One assignment replaces `production` or `staging` as a whole: a request takes one of them at its
    beginning and keeps it. Nothing here raises into a request.
    """

    def __init__(
        self,
        root: DataRoot,
        cache: ModelCache,
        metrics: Metrics,
        poll_seconds: float,
        with_staging: bool,
        connect: Callable[[DataRoot], Registry] = Registry,
    ) -> None:
        self.production: Serving | None = None
        self.staging: Serving | None = None
        self.refused: RefusedVersion | None = None
        self.staging_refused: RefusedVersion | None = None
        self.mlflow_answers: bool | None = None
        self.alias_set = True
        self._root = root
        self._cache = cache
        self._metrics = metrics
        self._with_staging = with_staging
        self._connect = connect
        self._registry: Registry | None = None
        self._known: dict[tuple[str, str], Serving] = {}
        # Why the version that serves is not cached yet or has no fresh story: "" before the first try,
        # None when both are done.
        self._unsettled: str | None = None
        self._following = RegularLook("follower", self.poll, poll_seconds)

    def start(self) -> None:
        """Begin to follow. What a process that was killed left in the cache is removed first."""
        self._cache.sweep()
        self._following.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End the thread, waiting at most `timeout` seconds for what it is doing."""
        self._following.stop(timeout)

    def poll(self) -> None:
        """Look at the aliases once, and load what they name."""
        try:
            if self._registry is None:
                self._registry = self._connect(self._root)
            wanted = self._registry.version_of(PRODUCTION)
            staged = self._registry.version_of(STAGING) if self._with_staging else None
        except Exception as problem:  # noqa: BLE001 - a server can be away in many ways
            self._is_away(problem)
            return
        if self.mlflow_answers is not True:
            log.info("MLflow answers")
        self.mlflow_answers = True
        self.alias_set = wanted is not None
        if wanted is not None:
            self._follow_production(self._registry, wanted)
        if self._with_staging:
            self._follow_staging(self._registry, staged)

    def _is_away(self, problem: Exception) -> None:
        if self.mlflow_answers is not False:
            log.warning("MLflow does not answer, the loaded version continues to serve: %s", problem)
        self.mlflow_answers = False
        self._serve_cached()

    def _serve_cached(self) -> None:
        """Serve the last good model of an earlier process, if nothing serves yet."""
        cached = self._cache.last_good() if self.production is None else None
        if cached is not None:
            self._swap(cached)
            self._warm(cached)

    def _follow_production(self, registry: Registry, wanted: ModelVersion) -> None:
        key = (str(wanted.version), str(wanted.run_id or ""))
        current = self.production
        if current is not None and current.key == key:
            self.refused = None
            if current.source == "cache":
                current = self.production = replace(current, source="registry")
                self._unsettled = ""
            if self._unsettled is not None:
                self._settle(registry, wanted, current)
            return
        known = self._known.get(key)
        if known is not None:
            self.refused = None
            fresh = replace(known, alias=PRODUCTION, loaded_at=datetime.now(UTC), source="registry")
            self._swap(fresh)
            self._unsettled = ""
            self._settle(registry, wanted, fresh)
            self._warm(fresh)
            return
        found = self._loaded(registry, wanted, PRODUCTION, self.refused)
        if isinstance(found, RefusedVersion):
            self.refused = found
            self._serve_cached()
        elif found is not None:
            serving, folder = found
            try:
                self.refused = None
                self._unsettled = None
                self._swap(serving)
                self._warm(serving)
                self._keep(serving, folder)
            finally:
                _remove(folder)

    def _follow_staging(self, registry: Registry, wanted: ModelVersion | None) -> None:
        if wanted is None:
            self.staging = self.staging_refused = None
            return
        key = (str(wanted.version), str(wanted.run_id or ""))
        if self.staging is not None and self.staging.key == key:
            return
        known = self._known.get(key)
        if known is not None:
            self.staging_refused = None
            self.staging = replace(known, alias=STAGING)
            return
        self.staging = None  # a version that is no longer staging gets no share
        found = self._loaded(registry, wanted, STAGING, self.staging_refused)
        if isinstance(found, RefusedVersion):
            self.staging_refused = found
        elif found is not None:
            serving, folder = found
            _remove(folder)
            self.staging_refused = None
            self._remember(serving)
            self.staging = serving
            log.info("version %s is in staging", serving.version)

    def _loaded(
        self, registry: Registry, wanted: ModelVersion, alias: str, refused: RefusedVersion | None
    ) -> tuple[Serving, str | None] | RefusedVersion | None:
        """The wanted version and the folder of its files, or its refusal; None while MLflow is away."""
        key = (str(wanted.version), str(wanted.run_id or ""))
        before = refused if refused is not None and refused.key == key else None
        if before is not None and time.monotonic() < before.retry_at:
            return before
        folder: str | None = None
        try:
            if self._cache.holds(*key):
                cached = self._from_cache(registry, wanted, alias)
                if cached is not None:
                    return cached, None
            folder = self._new_folder()
            loaded = load_folder(registry.download(key[0], folder), f"version {key[0]}")
            check(loaded, key[0])
            about, card = story_of(registry, self._root, wanted)
        except Exception as problem:  # noqa: BLE001 - a model may be bad in any way
            _remove(folder)
            if isinstance(problem, TryAgain) or not self._still_answers(registry):
                self._is_away(problem)
                return None
            return self._refuse(key, problem, before)
        about = as_json(about)
        snapshot_id = about["training"]["snapshot_id"]
        return Serving(
            version=key[0],
            run_id=key[1],
            alias=alias,
            pipeline=loaded.pipeline,
            about=about,
            card=card,
            training_data=TrainingData(loaded.pipeline, lambda: tables_from(self._root, snapshot_id)),
            loaded_at=datetime.now(UTC),
            source="registry",
        ), folder

    def _from_cache(self, registry: Registry, wanted: ModelVersion, alias: str) -> Serving | None:
        try:
            cached = self._cache.load(str(wanted.version))
        except Exception as problem:  # noqa: BLE001 - whatever is broken on disk, download it again
            log.warning("the cached version %s can't be used and is skipped: %s", wanted.version, problem)
            return None
        about, card = story_of(registry, self._root, wanted)
        return replace(cached, alias=alias, source="registry", about=as_json(about), card=card or cached.card)

    def _still_answers(self, registry: Registry) -> bool:
        try:
            registry.version_of(PRODUCTION)
        except Exception:  # noqa: BLE001 - a server can be away in many ways
            return False
        return True

    def _refuse(
        self, key: tuple[str, str], problem: Exception, before: RefusedVersion | None
    ) -> RefusedVersion:
        pause = min(LAST_RETRY_SECONDS, 2 * before.pause) if before else FIRST_RETRY_SECONDS
        reason = str(problem).splitlines()[0][:500] if str(problem) else type(problem).__name__
        serving = (
            f"version {self.production.version} continues to serve"
            if self.production
            else "no version serves"
        )
        log.error("version %s is refused, %s: %s", key[0], serving, reason)
        self._metrics.count_refused_model()
        return RefusedVersion(key, reason, datetime.now(UTC), pause, time.monotonic() + pause)

    def _settle(self, registry: Registry, wanted: ModelVersion, serving: Serving) -> None:
        """Put a version that was already in memory into the cache, and read its story again.

        A version that came from staging is not in the cache yet, and its promotion is news in the story.
        If this fails, the next poll tries again.
        """
        folder: str | None = None
        try:
            if not self._cache.holds(*serving.key):
                folder = self._new_folder()
                registry.download(serving.version, folder)
            self._keep(serving, folder)
            about, card = story_of(registry, self._root, wanted)
        except Exception as problem:  # noqa: BLE001 - the version serves without a story
            if str(problem) != self._unsettled:
                log.warning("version %s serves, its story is read again later: %s", serving.version, problem)
            self._unsettled = str(problem)
            return
        finally:
            _remove(folder)
        self._unsettled = None
        fresh = replace(serving, about=as_json(about), card=card or serving.card)
        self._remember(fresh)
        self.production = fresh
        self._keep(fresh, None)

    def _swap(self, serving: Serving) -> None:
        self._remember(serving)
        before, self.production = self.production, serving
        log.info(
            "version %s serves (from the %s)%s",
            serving.version,
            serving.source,
            f" in place of version {before.version}" if before else "",
        )

    def _remember(self, serving: Serving) -> None:
        self._known.pop(serving.key, None)
        self._known[serving.key] = serving
        in_use = {s.key for s in (serving, self.production, self.staging) if s is not None}
        for key in [k for k in self._known if k not in in_use][: max(0, len(self._known) - REMEMBERED)]:
            del self._known[key]

    def _warm(self, serving: Serving) -> None:
        """Prepare explanations and comparisons before the first request for them."""
        try:
            _ = serving.training_data.explainer
            _ = serving.training_data.form_options
            _ = serving.training_data.comparables
        except NoSnapshot as problem:
            log.warning("version %s serves without comparables: %s", serving.version, problem)
        except Exception:  # prices do not need them
            log.exception("version %s serves without comparables", serving.version)

    def _keep(self, serving: Serving, folder: str | None) -> None:
        model = None if folder is None else _model_folder(folder)
        try:
            self._cache.keep(serving, model)
        except Exception as problem:  # noqa: BLE001 - prices do not need the cache
            log.warning("version %s can't be cached on disk: %s", serving.version, problem)

    def _new_folder(self) -> str:
        try:
            return self._cache.new_folder()
        except OSError:  # no room in the cache
            return tempfile.mkdtemp(prefix="carprice-model-")


def _model_folder(folder: str) -> str:
    """The folder of the model's files in a download."""
    for path, _, names in os.walk(folder):
        if "MLmodel" in names:
            return path
    raise FileNotFoundError(f"no MLmodel under {folder}")


def _remove(folder: str | None) -> None:
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
