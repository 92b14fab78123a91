# Each word sets itself up. Needed are python3 (3.11 or newer) and its pip, nothing else.
# PYTHON=python3.12 makes .venv with another interpreter; RUNTIME=cpu or gpu overrides the choice.

PYTHON ?= python3
PORT ?= 8000
DATA ?= ../shared/data

ifndef RUNTIME
GPU := $(shell timeout 20 nvidia-smi -L 2>/dev/null | grep '^GPU ')
RUNTIME := $(if $(GPU),gpu,cpu)
WHY := ($(if $(GPU),an NVIDIA driver answers,no NVIDIA driver answers))
endif
ONNXRUNTIME := onnxruntime$(if $(filter gpu,$(RUNTIME)),-gpu)
# The two install the same module: only one of them is ever in .venv, and torch goes with it.
OTHER := $(if $(filter gpu,$(RUNTIME)),cpu,gpu)
UNWANTED = onnxruntime$(if $(filter gpu,$(OTHER)),-gpu) $(if $(wildcard .venv/.ready-$(OTHER)*),torch)

BIN := .venv/bin
UV := $(BIN)/uv pip
PIP := $(PYTHON) -m pip --python $(BIN)/python
# Touched when all is in; older than the files that say what that is: it is installed again.
READY := .venv/.ready-$(RUNTIME)

.PHONY: help serve test chaos check bench lock
help:
	@echo 'make serve   API, worker and broker at http://127.0.0.1:$(PORT) (PORT=…)'
	@echo 'make test    the tests'
	@echo 'make chaos   kills every part of a server in every moment of a job (CASES=…, STORES=servers)'
	@echo 'make check   format, lint, types, and who may import whom'
	@echo 'make bench   what is in benchmarks/, on DATA=$(DATA)'
	@echo 'make lock    constraints.txt from pyproject.toml (UPGRADE=1: newest versions)'

serve: export OKDHP_PROVIDER ?= $(if $(filter gpu,$(RUNTIME)),cuda,cpu)
serve: $(READY)
	@echo 'runtime: $(RUNTIME) $(WHY)'
	@exec $(BIN)/okdhp serve --port $(PORT)

# Networks of tests are tiny: a second thread for each of many processes only gets in the way.
test: export OMP_NUM_THREADS ?= 1
test: $(READY)-test
	$(BIN)/pytest --numprocesses 2 --dist loadfile

# Two at a time: more than the cores can do would be late for their leases.
chaos: export OMP_NUM_THREADS ?= 1
chaos: $(READY)-test
	$(BIN)/pytest tests/chaos --numprocesses 2 --stores $(or $(STORES),local) \
		$(if $(CASES),-k '$(CASES)',--table docs/chaos.md)

check: $(READY)-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)-test
	$(BIN)/python benchmarks/latency.py
	$(BIN)/python benchmarks/serving.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/blocks.py
	$(BIN)/python benchmarks/label_offset.py lsp:$(DATA)/lsp mpii:$(DATA)/mpii

# 2.13.0 is the torch that machines without a GPU have a CPU wheel of at hand.
lock: .venv/.made
	printf 'torch==2.13.0\nsetuptools\nuv\n' | $(UV) compile pyproject.toml - \
		--all-extras --universal --python-version 3.11 $(if $(UPGRADE),--upgrade) \
		--no-annotate --custom-compile-command 'make lock' --quiet --output-file constraints.txt

.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'Python 3.11 or newer is needed; PYTHON=… names one that is not called python3'; exit 1; }
	@$(PYTHON) -m venv --without-pip .venv
	@$(PIP) install --quiet --constraint constraints.txt uv || echo 'no uv here: pip will do, slower'
	@touch $@

$(READY): EXTRAS := $(RUNTIME),train
$(READY)-test: EXTRAS := $(RUNTIME),train,test
$(READY) $(READY)-test: .venv/.made pyproject.toml constraints.txt
	@echo 'installing okdhp[$(EXTRAS)] with $(ONNXRUNTIME) into .venv'
	@rm -f .venv/.ready-$(OTHER)*
	@$(UV) uninstall --quiet --python $(BIN)/python $(UNWANTED) || \
		$(PIP) uninstall --quiet --yes $(UNWANTED)
	@$(install)
	@touch $@

# PyPI's torch for Linux is the CUDA build, gigabytes: on a machine without a GPU a wheel from where
# pip also looks (find-links) comes first, then what uv knows to fit the machine, PyPI's last. uv is
# ten times as fast as pip but does not read its configuration; pip is there for what uv cannot do.
define install
links=$$($(PYTHON) -m pip config list | sed -n "s/.*find-links='\(.*\)'/\1/p" | tr ' \n' ',,'); \
export UV_FIND_LINKS="$${links%,}"; \
with='--quiet --python $(BIN)/python --constraint constraints.txt'; \
$(if $(filter cpu,$(RUNTIME)),$(UV) install $$with --no-index --no-deps torch 2>/dev/null ||) \
$(UV) install $$with --torch-backend=auto torch 2>/dev/null || \
echo 'torch: PyPI will have to do'; \
$(UV) install $$with --build-constraint constraints.txt --editable '.[$(EXTRAS)]' || \
$(PIP) install --quiet --no-compile --constraint constraints.txt --editable '.[$(EXTRAS)]'
endef
