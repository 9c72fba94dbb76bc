# Every target is one line: the steps are in scripts/dev.py, which also runs without make.
# Pass options on with ARGS: make demo ARGS="--port 8123 --crowd 30"
PYTHON3 ?= python3
ARGS ?=

.PHONY: help demo test proofs nemesis soak check audit side-by-side fresh format bench build wheel messages lock clean
help: ; @$(PYTHON3) scripts/dev.py help
demo: ; @$(PYTHON3) scripts/dev.py demo $(ARGS)
test: ; @$(PYTHON3) scripts/dev.py test $(ARGS)
proofs: ; @$(PYTHON3) scripts/dev.py proofs $(ARGS)
nemesis: ; @$(PYTHON3) scripts/dev.py nemesis $(ARGS)
soak: ; @$(PYTHON3) scripts/dev.py soak $(ARGS)
check: ; @$(PYTHON3) scripts/dev.py check $(ARGS)
audit: ; @$(PYTHON3) scripts/dev.py audit $(ARGS)
side-by-side: ; @$(PYTHON3) scripts/dev.py side-by-side $(ARGS)
fresh: ; @$(PYTHON3) scripts/dev.py fresh $(ARGS)
format: ; @$(PYTHON3) scripts/dev.py format $(ARGS)
build: ; @$(PYTHON3) scripts/dev.py build $(ARGS)
wheel: ; @$(PYTHON3) scripts/dev.py wheel $(ARGS)
messages: ; @$(PYTHON3) scripts/dev.py messages $(ARGS)
lock: ; @$(PYTHON3) scripts/dev.py lock $(ARGS)
clean: ; @$(PYTHON3) scripts/dev.py clean $(ARGS)
bench: ; @$(PYTHON3) scripts/dev.py bench $(ARGS)
bench-%: ; @$(PYTHON3) scripts/dev.py bench $* $(ARGS)
