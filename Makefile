PYTHON ?= python3
VENV ?= .venv
DATA ?= ../shared/data/celeba64
WHOLE ?= ../shared/data/celeba178
OUT ?= runs/csi
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: help demo style quick test test-slow programs train-csi train-dcgan train-vae train-vae-attributes train-pixelcnn train-attributes train-judge train-chooser train-refiner train-aligner figures ablations bench clean

# A target's line says after ## what it does.
help:
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

demo: $(VENV)/.runtime  ## the page at http://127.0.0.1:7860
	$(RUN) app.py

style: $(VENV)/.dev
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports --no-cache

quick: style  ## style, types and the tests that take under a minute together
	$(RUN) -m pytest tests/models tests/research/metrics tests/test_masks.py tests/research/training/test_losses.py

test: style programs  ## style, types and the tests to run after every change (as root on Debian: gets Chromium, nginx)
	$(RUN) -m pytest -n 2 --dist loadfile -m "not slow"

test-slow: $(VENV)/.dev programs  ## the other tests: soak, replicas, bench, studies, clocks, the page's side roads
	$(RUN) -m pytest -m slow

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

train-csi: $(VENV)/.dev  ## CSI (DATA, OUT)
	$(RUN) -m csi_demo train csi --data $(DATA) --out $(OUT) --resume --set compile=true

# These two measure themselves, and the VAE learns, with the face network in weights/: train that first.
train-dcgan: $(VENV)/.dev  ## DCGAN
	$(RUN) -m csi_demo train dcgan --data $(DATA) --out runs/dcgan --resume

train-vae: $(VENV)/.dev  ## both VAEs
	$(RUN) -m csi_demo train vae --data $(DATA) --out runs/vae --resume --set compile=true
	$(RUN) -m csi_demo train vae-oneshot --data $(DATA) --out runs/vae-oneshot --resume --set compile=true

train-vae-attributes: $(VENV)/.dev  ## the VAE with attributes, from the VAE in weights/
	$(RUN) -m csi_demo train vae-attributes --data $(DATA) --out runs/vae-attributes --resume --set learning_rate=1e-3, --set pixel_sigma=0.7

train-pixelcnn: $(VENV)/.dev  ## the Gated PixelCNN
	$(RUN) -m csi_demo train pixelcnn --data $(DATA) --out runs/pixelcnn --resume

train-attributes: $(VENV)/.dev  ## the face network
	$(RUN) -m csi_demo train attributes --data $(DATA) --out runs/attributes --resume

train-judge: $(VENV)/.dev  ## the second one, which judges
	$(RUN) -m csi_demo train judge --data $(DATA) --out runs/judge --resume

train-chooser: $(VENV)/.dev  ## what chooses among the draws of the CSI in weights/
	$(RUN) -m csi_demo train chooser --data $(DATA) --out runs/chooser --resume

train-refiner: $(VENV)/.dev  ## the refiner (WHOLE)
	$(RUN) -m csi_demo train refiner --data $(WHOLE) --out runs/refiner --resume

train-aligner: $(VENV)/.dev  ## the aligner (WHOLE)
	$(RUN) -m csi_demo train aligner --data $(WHOLE) --out runs/aligner --resume

# Re-makes every figure of the weights' metrics.json that is not about training, and what is known of the latents.
figures: $(VENV)/.dev  ## every figure that is not about training
	$(RUN) -m csi_demo discover --data $(DATA)/val.parquet --limit 32
	$(RUN) -m csi_demo evaluate --controls --data $(DATA)/test.parquet --limit 256 --record
	$(RUN) -m csi_demo evaluate --method csi dcgan vae vae-oneshot --data $(DATA)/test.parquet --mask center mouth eyes left --limit 256 --workers 2 --record --contact-sheet runs/fills.png
	for method in csi dcgan vae vae-oneshot vae-attributes pixelcnn; do \
	  $(RUN) -m csi_demo evaluate --photos $(WHOLE)/test.parquet --method $$method --mask mouth eyes center left --limit 256 --record --contact-sheet runs/photos-$$method.png || exit 1; \
	done
	$(RUN) -m csi_demo evaluate --photos $(WHOLE)/test.parquet --controls smile --limit 128 --record
	$(RUN) -m csi_demo evaluate-variety --method csi vae vae-oneshot vae-attributes --data $(DATA)/test.parquet --limit 128 --record
	$(RUN) -m csi_demo discover --method vae-attributes --data $(DATA)/val.parquet --limit 24
	$(RUN) -m csi_demo evaluate --method vae-attributes --controls smile open_mouth glasses fringe blond_hair masculine --data $(DATA)/test.parquet --limit 256 --record
	$(RUN) -m csi_demo evaluate --method vae-attributes --data $(DATA)/test.parquet --mask center mouth eyes left --limit 128 --record --contact-sheet runs/attributes.png
	$(RUN) -m csi_demo evaluate-guidance --data $(DATA)/test.parquet --limit 256 --record
	$(RUN) -m csi_demo discover --method pixelcnn --data $(DATA)/val.parquet --limit 16 --leave-out wavy_hair round_face pale_skin double_chin
	$(RUN) -m csi_demo evaluate --method pixelcnn --controls smile open_mouth glasses fringe blond_hair masculine --data $(DATA)/test.parquet --limit 32 --record
	$(RUN) -m csi_demo evaluate --method pixelcnn --data $(DATA)/test.parquet --mask center --limit 32 --record --contact-sheet runs/pixelcnn.png
	$(RUN) -m csi_demo evaluate-samples --method dcgan vae --data $(DATA)/test.parquet --record --contact-sheet runs/samples.png
	$(RUN) -m csi_demo discover --model ian --data $(DATA)/val.parquet --limit 32
	$(RUN) -m csi_demo evaluate-editor --data $(DATA)/test.parquet --what reconstructions --record --contact-sheet runs/editor.png
	$(RUN) -m csi_demo evaluate-editor --data $(DATA)/test.parquet --limit 128 --what strokes --record --contact-sheet runs/editor.png
	$(RUN) -m csi_demo evaluate-editor --data $(DATA)/test.parquet --what transfer --record
	$(RUN) -m csi_demo evaluate-descent --data $(DATA)/test.parquet --limit 32 --record
	$(RUN) -m csi_demo evaluate-attributes --data $(DATA)/test-attributes.parquet --record
	$(RUN) -m csi_demo evaluate-alignment --data $(WHOLE)/test.parquet --record

# The paper's claims on small variants, trained first where they are missing.
ablations: $(VENV)/.dev  ## the paper's claims on small variants
	$(RUN) -m csi_demo ablations --data $(DATA) --train --out runs/claims --json docs/ablations.json --record

# Every speed, of an idle machine only.
bench: $(VENV)/.dev  ## every speed, of an idle machine only
	$(RUN) -m csi_demo bench --json docs/bench.json --plot docs/bench.png --repeats 5

$(VENV)/.runtime: requirements.txt constraints.txt
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements.txt
	touch $@

$(VENV)/.dev: requirements.txt requirements-dev.txt constraints.txt
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements-dev.txt
	touch $@ $(VENV)/.runtime

clean:  ## removes the virtual environment
	rm -rf $(VENV)
