# The front door: every command a person runs, a line each. `make help` lists them.
PYTHON ?= python3
PORT ?= 8000
BOOK_PORT ?= 8080
# Address of PyTorch's CPU wheels, if you want them on Linux; empty: what pip takes by itself.
TORCH_INDEX ?=
BIN := .venv/bin
READY := .venv/.ready
# A line for each package as it is fetched and a bar for the large ones; what is there already is left out.
PIP = $(BIN)/pip install --disable-pip-version-check --progress-bar on
# Two workers, each test group whole and the longest first (tests/support/costs.py).
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadgroup

.DEFAULT_GOAL := help
.PHONY: help setup up book exercises check renew publish autograde feedback extend analytics alike mistakes mutants audit export checkpoints test test-long prove costs bench lint lock clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## install everything this course needs into .venv

$(READY): requirements.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON) here. Install Python 3.11 or newer, or name yours: make setup PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 11) <= v < (3, 14) else f"This course needs Python 3.11, 3.12 or 3.13; $(PYTHON) is {v[0]}.{v[1]}. Name another: make setup PYTHON=python3.12")'
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments: install its venv module (on Debian and Ubuntu: the package python3-venv)."; exit 1; }
	@if [ "$$(uname)" = Linux ] && [ -z "$(TORCH_INDEX)" ] && [ ! -e .venv ]; then \
	  echo "Note: on Linux pip may fetch PyTorch's CUDA build (several GB). The course needs only the CPU build."; \
	  echo "For that one: make $(or $(MAKECMDGOALS),setup) TORCH_INDEX=<the address that pytorch.org gives for pip, Linux, CPU>"; fi
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	@if [ -n "$(TORCH_INDEX)" ]; then $(PIP) --index-url "$(TORCH_INDEX)" "$$(grep '^torch==' requirements.txt)"; fi
	@echo "Installing requirements.txt into .venv (a few minutes the first time) ..."
	@$(PIP) -r requirements.txt || { echo "pip could not install requirements.txt: its message is above. Nothing is lost; run the command again when that is mended."; exit 1; }
	@$(BIN)/pip install --quiet --no-deps --editable .
	@touch $(READY)

up: $(READY) ## serve the whole course on this machine: the book and a JupyterHub
	@exec $(BIN)/python -m course.up --port $(PORT) --book-port $(BOOK_PORT)

book: $(READY) ## build the book into _build/html
	@$(BIN)/python -m book.build

exercises: $(READY) ## assemble the assignments and write the students' notebooks
	@$(BIN)/python -m course.assemble --release

check: $(READY) ## ASSIGNMENT=tokenizer: run a student's notebook and report its visible tests
	@$(BIN)/python -m labkit.check $(ASSIGNMENT)

renew: $(READY) ## ASSIGNMENT=tokenizer: take a student's answers over into a corrected release
	@$(BIN)/python -m labkit.renew $(ASSIGNMENT)

publish: $(READY) ## put the assembled assignments into the exchange, for students to fetch
	@$(BIN)/python -m course.grading publish

autograde: $(READY) ## ASSIGNMENT=tokenizer: collect and grade what is new, in the sandbox; WATCH=1: whatever comes in
	@$(BIN)/python -m $(if $(WATCH),course.watch,course.grading autograde) $(ASSIGNMENT)

feedback: $(READY) ## ASSIGNMENT=tokenizer: write and release feedback
	@$(BIN)/python -m course.grading feedback $(ASSIGNMENT)

extend: $(READY) ## ASSIGNMENT=tokenizer STUDENT=alice DAYS=2: give a student more time; DAYS=0 takes it back
	@$(BIN)/python -m course.grading extend $(ASSIGNMENT) $(STUDENT) $(if $(DAYS),--days $(DAYS))

analytics: $(READY) ## ASSIGNMENT=tokenizer: a page on how the class did and which mistakes it made
	@$(BIN)/python -m course.grading analytics $(ASSIGNMENT)

alike: $(READY) ## ASSIGNMENT=tokenizer: a page of submissions whose answers are alike; it changes no mark
	@$(BIN)/python -m course.grading alike $(ASSIGNMENT)

mistakes: $(READY) ## ASSIGNMENT=tokenizer (or all): play the known wrong answers that changed and keep what tests say
	@$(BIN)/python -m course.pages.record $(ASSIGNMENT)
	@$(BIN)/python -m course.pages.diagnosis $(ASSIGNMENT)

audit: $(READY) ## ASSIGNMENT=tokenizer: every change of a score, when and why
	@$(BIN)/python -m course.grading audit $(ASSIGNMENT)

export: $(READY) ## write all grades to grades.csv
	@$(BIN)/python -m course.grading export

mutants: $(READY) ## TOPIC=gpt: change each reference answer in one place and list what no test notices
	@$(BIN)/python -m course.banks.mutants $(TOPIC)

checkpoints: $(READY) ## train the checkpoints again and say whether they reproduce
	@$(BIN)/python -m solutions.checkpoints

test: $(READY) ## prove a change; TOPIC=gpt: what one topic says of itself, without the whole book
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(PYTEST) -m "not long and not proof" $(addprefix --topic ,$(TOPIC))

test-long: $(READY) ## what has no record, one entry of each record again, the hub, the class server, the browser (needs Chromium)
	@$(PYTEST) -m "(long or proof) and not alone" $(addprefix --topic ,$(TOPIC))
	@$(if $(TOPIC),,OMP_NUM_THREADS=1 $(BIN)/pytest -m "long and alone")

prove: $(READY) ## prove what is too dear for every run, where its inputs have changed, and record it
	@$(PYTEST) -m proof $(addprefix --topic ,$(TOPIC))

costs: $(READY) ## write what the tests took, as last run here, to bench/proof.md
	@$(BIN)/python -m bench.proof

bench: $(READY) ## NAME=gpt: measure one bench against other software, or all without NAME
	@$(BIN)/python -m bench $(NAME)

lint: $(READY) ## format and lint in place
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: $(READY) ## resolve pyproject.toml into requirements.txt, with no index address and no local build in it
	@$(BIN)/pip-compile --quiet --all-extras --strip-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	  --no-emit-options --no-header --output-file requirements.txt pyproject.toml
	@$(BIN)/python -c "import pathlib, re; p = pathlib.Path('requirements.txt'); p.write_text(re.sub(r'(?m)^(torch==[\d.]+)\+\w+', r'\1', p.read_text()))"

clean: ## remove what was built; keeps .venv, submissions, grades and the hub's data
	rm -rf _build book/_vendor course/source
