# Every target is one line: the steps are in scripts/dev, which also runs without make.
# Pass options on with ARGS: make demo ARGS="--port 8123 --crowd 30"
PYTHON3 ?= python3
ARGS ?=

.PHONY: help demo test proofs nemesis soak check audit side-by-side fresh format bench build wheel messages lock clean
help: ; @$(PYTHON3) scripts/dev help
demo: ; @$(PYTHON3) scripts/dev demo $(ARGS)
test: ; @$(PYTHON3) scripts/dev test $(ARGS)
proofs: ; @$(PYTHON3) scripts/dev proofs $(ARGS)
nemesis: ; @$(PYTHON3) scripts/dev nemesis $(ARGS)
soak: ; @$(PYTHON3) scripts/dev soak $(ARGS)
check: ; @$(PYTHON3) scripts/dev check $(ARGS)
audit: ; @$(PYTHON3) scripts/dev audit $(ARGS)
side-by-side: ; @$(PYTHON3) scripts/dev side-by-side $(ARGS)
fresh: ; @$(PYTHON3) scripts/dev fresh $(ARGS)
format: ; @$(PYTHON3) scripts/dev format $(ARGS)
build: ; @$(PYTHON3) scripts/dev build $(ARGS)
wheel: ; @$(PYTHON3) scripts/dev wheel $(ARGS)
messages: ; @$(PYTHON3) scripts/dev messages $(ARGS)
lock: ; @$(PYTHON3) scripts/dev lock $(ARGS)
clean: ; @$(PYTHON3) scripts/dev clean $(ARGS)
bench: ; @$(PYTHON3) scripts/dev bench $(ARGS)
bench-%: ; @$(PYTHON3) scripts/dev bench $* $(ARGS)
