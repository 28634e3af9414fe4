# make demo: the page at http://127.0.0.1:7860        make test: style, types, tests
PYTHON ?= python3
VENV ?= .venv
DATA ?= ../shared/data/celeba64
WHOLE ?= ../shared/data/celeba178
OUT ?= runs/csi
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test train-csi train-aligner figures clean

demo: $(VENV)/.runtime
	$(RUN) app.py

test: $(VENV)/.dev
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(RUN) -m pytest

train-csi: $(VENV)/.dev
	$(RUN) -m csi_demo train csi --data $(DATA) --out $(OUT) --resume --set small=true --set compile=true

train-aligner: $(VENV)/.dev
	$(RUN) -m csi_demo train aligner --data $(WHOLE) --out runs/aligner --resume

# Re-makes every figure of the weights' metrics.json that is not about training, and the latents' strengths.
figures: $(VENV)/.dev
	$(RUN) -m csi_demo discover --data $(DATA)/val.parquet --limit 24
	$(RUN) -m csi_demo evaluate --method csi --data $(DATA)/test.parquet --mask center --limit 256 --record --contact-sheet runs/center.png
	$(RUN) -m csi_demo discover --data $(DATA)/test.parquet --mask bottom --limit 64 --record
	$(RUN) -m csi_demo evaluate-alignment --data $(WHOLE)/test.parquet --record

$(VENV)/.runtime: requirements.txt constraints.txt
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements.txt
	touch $@

$(VENV)/.dev: requirements.txt requirements-dev.txt constraints.txt
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements-dev.txt
	touch $@ $(VENV)/.runtime

clean:
	rm -rf $(VENV)
