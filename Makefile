# make demo: the page at http://127.0.0.1:7860    make test: style, types, tests (as root on Debian: gets Chromium, nginx)
PYTHON ?= python3
VENV ?= .venv
DATA ?= ../shared/data/celeba64
WHOLE ?= ../shared/data/celeba178
OUT ?= runs/csi
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test programs train-csi train-dcgan train-vae train-attributes train-aligner figures ablations bench clean

demo: $(VENV)/.runtime
	$(RUN) app.py

test: $(VENV)/.dev programs
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(RUN) -m pytest

# What some tests drive, where it can be installed: a browser, and nginx, which is not started as a service (RUNLEVEL). A
# failure only skips these tests.
programs:
	@for program in chromium nginx; do \
	  PATH="$$PATH:/usr/sbin:/usr/local/sbin"; \
	  command -v $$program >/dev/null || command -v $$program-browser >/dev/null || { \
	    test "$$(id -u)" = 0 && command -v apt-get >/dev/null && \
	    echo "Installing $$program for the tests" && \
	    apt-get update -qq -o Acquire::http::Timeout=30 && \
	    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
	      apt-get install -y -qq --no-install-recommends $$program >/dev/null; } || \
	  echo "No $$program: the tests that need it are skipped"; \
	done

train-csi: $(VENV)/.dev
	$(RUN) -m csi_demo train csi --data $(DATA) --out $(OUT) --resume --set compile=true

# These two measure themselves, and the VAE learns, with the face network in weights/: train that first.
train-dcgan: $(VENV)/.dev
	$(RUN) -m csi_demo train dcgan --data $(DATA) --out runs/dcgan --resume

train-vae: $(VENV)/.dev
	$(RUN) -m csi_demo train vae --data $(DATA) --out runs/vae --resume --set compile=true
	$(RUN) -m csi_demo train vae-oneshot --data $(DATA) --out runs/vae-oneshot --resume --set compile=true

train-attributes: $(VENV)/.dev
	$(RUN) -m csi_demo train attributes --data $(DATA) --out runs/attributes --resume

train-aligner: $(VENV)/.dev
	$(RUN) -m csi_demo train aligner --data $(WHOLE) --out runs/aligner --resume

# Re-makes every figure of the weights' metrics.json that is not about training, and what is known of the latents.
figures: $(VENV)/.dev
	$(RUN) -m csi_demo discover --data $(DATA)/val.parquet
	$(RUN) -m csi_demo evaluate --controls --data $(DATA)/test.parquet --limit 256 --record
	$(RUN) -m csi_demo evaluate --method csi dcgan vae vae-oneshot --data $(DATA)/test.parquet --mask center random left mouth --limit 256 --workers 2 --record --contact-sheet runs/fills.png
	$(RUN) -m csi_demo evaluate-samples --method dcgan vae --data $(DATA)/test.parquet --record --contact-sheet runs/samples.png
	$(RUN) -m csi_demo evaluate-descent --data $(DATA)/test.parquet --limit 32 --record
	$(RUN) -m csi_demo evaluate-attributes --data $(DATA)/test-attributes.parquet --record
	$(RUN) -m csi_demo evaluate-alignment --data $(WHOLE)/test.parquet --record

# The paper's claims on small variants, trained first where they are missing.
ablations: $(VENV)/.dev
	$(RUN) -m csi_demo ablations --data $(DATA) --train --out runs/claims --json docs/ablations.json --record

# Every speed, of an idle machine only.
bench: $(VENV)/.dev
	$(RUN) -m csi_demo bench --json docs/bench.json --plot docs/bench.png --repeats 5

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
