# All commands of the project; `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
ENVIRONMENTS := airflow trainer mlflow app
TESTED := airflow trainer app collector
uv := .venv/tools/bin/uv
# Each step is a new process; compiled bytecode saves seconds at its start.
export UV_COMPILE_BYTECODE := 1
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## list every target
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-14s %s\n", $$1, $$2}'

# --- run

.PHONY: demo
demo: setup $(if $(filter 1,$(COLLECT)),collector) ## start everything on this machine, land a file and follow it into production; with COLLECT=1 a collector reads a market of invented cars on five days, with PAST=1 its past weeks land at once [FILE= COLLECT=1 PAST=1 ONCE=1 RUNTIME=auto|docker|process DATA_DIR= AIRFLOW_PORT= MLFLOW_PORT= API_PORT= APP_PORT= EVIDENTLY_PORT=]
	@if [ "$${RUNTIME:-auto}" != process ] && docker version --format '{{.Server.Version}}' >/dev/null 2>&1; then images/build trainer app $(if $(filter 1,$(COLLECT)),collector); fi
	@exec .venv/trainer/bin/python -m demo

.PHONY: setup
setup: $(ENVIRONMENTS:%=.venv/%/.ready) ## make the virtual environments or bring them up to date

.PHONY: collector
collector: .venv/collector/.ready ## make the environment of `carprice collect`, which nothing else needs

.PHONY: clean
clean: ## remove the virtual environments and the state of the demo; data/ stays
	rm -rf .venv .demo

.PHONY: pictures
pictures: test-setup ## take the pictures of the documents from a running `make demo PAST=1`, whose cars are invented
	.venv/trainer/bin/python -m demo.pictures

# --- images

.PHONY: images
images: ## build the images whose inputs changed [PYTHON_IMAGE= OFFLINE=1]
	images/build

.PHONY: current-images
current-images: ## build the images where a Docker engine answers; elsewhere the tests that need one are skipped
	@if docker version --format '{{.Server.Version}}' >/dev/null 2>&1; then images/build; fi

.PHONY: base-image
base-image: ## make the Python base image from Debian packages, for machines without a registry
	images/base/make-base-image

.PHONY: docker-engine
docker-engine: ## install and start a Docker engine on Debian or Ubuntu if none answers
	images/base/docker-engine

# --- stack

.PHONY: env
env: ## write .env and random secrets for `docker compose up`; existing values stay
	@$(PYTHON) stack/make_env.py

.PHONY: compose-plugin
compose-plugin: ## install Compose v2 from Debian packages if `docker compose` does not answer
	images/base/compose-plugin

.PHONY: stack
stack: env ## start the stack and wait until all services are healthy (docs/stack.md)
	docker compose up --detach --wait

.PHONY: stack-down
stack-down: ## stop the stack and its running steps; volumes and data/ stay
	docker compose stop worker dag-processor
	@# Compose does not know the containers of steps.
	docker ps --all --quiet --filter "label=carprice.proxy=$$(docker compose config | sed -n 's/^name: //p')" \
		| xargs --no-run-if-empty docker rm --force --volumes
	docker compose down

.PHONY: backup
backup: ## write databases, artifacts and data of the running stack to a folder in backups/ [TO=folder SECRETS=1]
	@$(PYTHON) stack/backup.py $(if $(TO),--to "$(TO)") $(if $(SECRETS),--secrets)

.PHONY: restore
restore: ## restore a backup into an empty stack FROM=backups/… [REPLACE=1 deletes what the stack holds, SECRETS=1]
	@$(PYTHON) stack/restore.py "$(or $(FROM),$(error make restore needs FROM=backups/…, a folder that 'make backup' made))" \
		$(if $(REPLACE),--replace) $(if $(SECRETS),--secrets)

.PHONY: doctor
doctor: ## find faults of the stack and say how to repair them
	@$(PYTHON) stack/doctor.py

# --- check

# Files of tests with data and ports of their own run two at a time.
SIDE_BY_SIDE := --numprocesses 2 --dist loadfile

.PHONY: test
test: test-setup lint current-images ## what every change must pass, 33 minutes on 2 cores: unit, contract and image tests, Airflow end to end with steps as processes and as containers, the stack once from a file to a price in a browser
	$(MAKE) --no-print-directory --jobs=2 --keep-going --output-sync=line $(SUITES)

# `make test` runs two suites at a time, in this order, because all of them wait a lot. Each prints what it said
# when it has ended. The longest come first, so that both ends are near each other.
SUITES := tests-e2e tests-trainer tests-stack tests-app tests-airflow tests-images tests-collector

.PHONY: tests-trainer
tests-trainer: ## the pipeline without Airflow, the demo, the documents
	.venv/trainer/bin/pytest -m "not soak" $(SIDE_BY_SIDE) tests/trainer tests/demo tests/test_makefile.py tests/test_documents.py

.PHONY: tests-app
tests-app: ## the API and the app
	.venv/app/bin/pytest -m "not soak" $(SIDE_BY_SIDE) tests/app

.PHONY: tests-airflow
tests-airflow: ## DAGs and operators
	PYTHONPATH=airflow .venv/airflow/bin/pytest -m "not soak" $(SIDE_BY_SIDE) tests/airflow

.PHONY: tests-collector
tests-collector: ## the collector
	.venv/collector/bin/pytest -m "not soak" $(SIDE_BY_SIDE) tests/collector

.PHONY: tests-e2e
tests-e2e: ## Airflow end to end
	.venv/trainer/bin/pytest -m "not soak" $(SIDE_BY_SIDE) tests/e2e

.PHONY: tests-stack
tests-stack: ## the Compose stack
	.venv/trainer/bin/pytest -m "not soak" $(SIDE_BY_SIDE) tests/stack

.PHONY: tests-images
tests-images: ## the images
	.venv/trainer/bin/pytest -m "not soak" $(SIDE_BY_SIDE) tests/images

.PHONY: edge-cars
edge-cars: test-setup ## draw what the app says about cars at the edges of a file, in both languages, and write a table DATA=path TO=folder
	EDGE_CARS_DATA="$(abspath $(or $(DATA),$(error make edge-cars needs DATA=path, a CSV file of listings)))" \
	EDGE_CARS_TO="$(abspath $(or $(TO),$(error make edge-cars needs TO=folder, where the pictures go)))" \
		.venv/app/bin/pytest tests/app/test_edge_cars.py

.PHONY: test-soak
test-soak: test-setup current-images ## what takes longer, 90 minutes on 2 cores: every service killed in turn, five minutes without MLflow, bursts of files with kills, two Docker engines, a full disk, backup and restore, load on the API [SOAK_MINUTES=15]
	.venv/trainer/bin/pytest -m soak tests/trainer
	.venv/app/bin/pytest -m soak tests/app
	.venv/trainer/bin/pytest -m soak $(SIDE_BY_SIDE) tests/e2e
	.venv/trainer/bin/pytest -m soak tests/stack

.PHONY: test-setup
test-setup: setup $(TESTED:%=.venv/%/.test-ready) .venv/client/.ready ## add what the tests need to the virtual environments

.PHONY: lint
lint: .venv/trainer/.test-ready .venv/app/.test-ready .venv/collector/.test-ready ## check style with ruff, the layers of the packages with import-linter, and types with mypy
	.venv/trainer/bin/ruff check
	.venv/trainer/bin/ruff format --check
	PYTHONPATH=airflow:images/app:images/docker-proxy:images/collector/src .venv/trainer/bin/lint-imports
	.venv/trainer/bin/mypy images/contract/src images/trainer/src/carprice demo benchmarks docs/write_settings.py
	MYPYPATH=stack .venv/trainer/bin/mypy stack/make_env.py stack/compose.py stack/backup.py stack/restore.py stack/doctor.py \
		stack/make_worker.py stack/egress.py stack/forwarder/forward.py stack/reports/serve_reports.py
	.venv/app/bin/mypy images/app
	.venv/collector/bin/mypy images/collector/src
	MYPYPATH=images/docker-proxy .venv/trainer/bin/mypy -p docker_proxy
	.venv/app/bin/mypy stack/api/ensure_key.py
	@# One file at a time, because two of them have the same name.
	for file in stack/airflow/*.py stack/mlflow/*.py images/mlflow/*.py; do .venv/trainer/bin/mypy "$$file"; done
	.venv/trainer/bin/mypy airflow/include airflow/dags

.PHONY: docs
docs: .venv/trainer/.ready ## write docs/settings.md from the settings classes, and draw the diagram of the documents
	.venv/trainer/bin/python docs/write_settings.py
	docs/draw

.PHONY: format
format: .venv/trainer/.test-ready ## format the sources with ruff
	.venv/trainer/bin/ruff check --fix
	.venv/trainer/bin/ruff format

.PHONY: bench
bench: setup ## compare the pipeline in Airflow with its bare steps, and measure idle memory [DATA=path RUNTIME=]
	.venv/trainer/bin/python -m benchmarks.pipeline

.PHONY: bench-accuracy
bench-accuracy: setup .venv/trainer/.bench-ready ## compare the model with the reference recipe, LightGBM and CatBoost on the same rows DATA=path [SEEDS=5 SIZES="500 4000" PICTURE=path PARTIAL=0.3 WEIGHTS="1 0.7"]
	OMP_NUM_THREADS=1 .venv/trainer/bin/python -m benchmarks.accuracy

.PHONY: bench-edges
bench-edges: setup ## check that the interval holds for rare models, the oldest, the newest and the most driven cars DATA=path [SEEDS=5]
	OMP_NUM_THREADS=1 .venv/trainer/bin/python -m benchmarks.edges

.PHONY: bench-labels
bench-labels: setup ## check that labels of learned listings are those that a model gives which did not learn them DATA=path [FOLDS=8 FOLD=60]
	OMP_NUM_THREADS=1 .venv/trainer/bin/python -m benchmarks.labels

.PHONY: bench-ingest
bench-ingest: setup ## measure what checking large files costs, about 10 minutes [ROWS="1000000 5000000"]
	.venv/trainer/bin/python -m benchmarks.ingest

.PHONY: bench-titles
bench-titles: setup ## compare what titles say with the columns of the same ads DATA="one.csv other.csv" [VERBOSE=1]
	.venv/trainer/bin/python -m benchmarks.titles

.PHONY: bench-linking
bench-linking: setup ## measure how well copies of ads are found, and its cost DATA="one.csv other.csv" [ROWS= SEEDS=3]
	.venv/trainer/bin/python -m benchmarks.linking

.PHONY: bench-history
bench-history: setup ## measure what a new file of 3,000 rows costs on histories of several sizes [ROWS="3000 100000 1000000" NEW=3000]
	.venv/trainer/bin/python -m benchmarks.history

.PHONY: bench-scale
bench-scale: setup ## measure every step for a new file on histories of several sizes, about 10 minutes [ROWS="3000 100000 1000000" NEW=3000]
	.venv/trainer/bin/python -m benchmarks.scale

.PHONY: bench-files
bench-files: setup ## measure every step for one more file after very many small ones [FILES=10000 ROWS=5 NEW=200]
	.venv/trainer/bin/python -m benchmarks.files

.PHONY: bench-speed
bench-speed: setup ## measure the cost of a training and of a prediction DATA=path
	OMP_NUM_THREADS=1 .venv/trainer/bin/python -m benchmarks.speed

.PHONY: bench-drift
bench-drift: setup ## count the drift alarms on unchanged and on changed draws DATA=path [SEEDS=100]
	OMP_NUM_THREADS=1 .venv/trainer/bin/python -m benchmarks.drift

.PHONY: bench-market
bench-market: setup ## check that the gates let good successors in and keep a bad one out while prices move [MONTHS=12 ROWS=1500 RISE=0.02 FALL=0 WORSE=6]
	OMP_NUM_THREADS=1 .venv/trainer/bin/python -m benchmarks.moving_market

.PHONY: bench-report
bench-report: setup ## measure the cost of drift reports on a large landing [ROWS=300000]
	OMP_NUM_THREADS=1 .venv/trainer/bin/python -m benchmarks.large_report

.PHONY: bench-serving
bench-serving: setup ## compare the price API with `mlflow models serve` [DATA=path DURATION=10]
	.venv/trainer/bin/python -m benchmarks.serving

.PHONY: bench-listings
bench-listings: test-setup ## measure /v1/listings with 100,000 cars on offer beside price requests, and the page in Chromium [OFFERS=100000 DURATION=30]
	.venv/trainer/bin/python -m benchmarks.listings

.PHONY: bench-collect
bench-collect: setup collector ## measure how fast the collector reads the replica, and its memory [ADS=100000 SOURCE=avito]
	.venv/trainer/bin/python -m benchmarks.collecting

.PHONY: lock
lock: .venv/tools/.ready ## compile every requirements.in to the newest versions
	for folder in airflow images/trainer images/mlflow images/app images/docker-proxy images/collector tests tests/client benchmarks; do \
		(cd $$folder && $(CURDIR)/$(uv) pip compile --quiet --universal --python-version 3.11 --upgrade \
			--no-emit-index-url --no-header requirements.in -o requirements.txt); \
	done

# --- environments

.venv/tools/.ready: images/base/build-requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, found %d.%d; name one with PYTHON=..." % sys.version_info[:2])'
	@echo "setting up the tools"
	@$(PYTHON) -m venv .venv/tools
	@.venv/tools/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# A stamp, because .venv/*/bin/python is a link: its time is that of the interpreter outside the repository.
.venv/%/.created: .venv/tools/.ready
	@$(uv) venv --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" --allow-existing .venv/$*
	@touch $@

.venv/airflow/.ready: airflow/requirements.txt images/contract/pyproject.toml .venv/airflow/.created
	@echo "setting up the environment 'airflow'"
	@$(uv) pip install --quiet -p .venv/airflow -r $<
	@$(uv) pip install --quiet -p .venv/airflow --no-deps -e images/contract
	@touch $@

.venv/mlflow/.ready: images/mlflow/requirements.txt .venv/mlflow/.created
	@echo "setting up the environment 'mlflow'"
	@$(uv) pip install --quiet -p .venv/mlflow -r $<
	@touch $@

.venv/client/.ready: tests/client/requirements.txt .venv/client/.created
	@echo "setting up the environment 'client'"
	@$(uv) pip install --quiet -p .venv/client -r $<
	@touch $@

.venv/trainer/.ready .venv/app/.ready: .venv/%/.ready: images/%/requirements.txt images/trainer/pyproject.toml images/contract/pyproject.toml .venv/%/.created
	@echo "setting up the environment '$*'"
	@$(uv) pip install --quiet -p .venv/$* -r $<
	@$(uv) pip install --quiet -p .venv/$* --no-deps -e images/contract -e images/trainer
	@touch $@

.venv/collector/.ready: images/collector/requirements.txt images/collector/pyproject.toml images/trainer/pyproject.toml images/contract/pyproject.toml .venv/collector/.created
	@echo "setting up the environment 'collector'"
	@$(uv) pip install --quiet -p .venv/collector -r $<
	@$(uv) pip install --quiet -p .venv/collector --no-deps -e images/contract -e images/trainer -e images/collector
	@touch $@

.venv/trainer/.bench-ready: benchmarks/requirements.txt .venv/trainer/.ready
	@echo "adding what the benchmarks compare with to 'trainer'"
	@$(uv) pip install --quiet -p .venv/trainer -r $<
	@touch $@

.venv/%/.test-ready: tests/requirements.txt .venv/%/.ready
	@echo "adding the test tools to '$*'"
	@$(uv) pip install --quiet -p .venv/$* -r $<
	@touch $@
