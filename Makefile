.PHONY: demo test check bench fuzz set-up

demo: set-up
	@.venv/bin/qsft demo --preset demo --out runs/demo

# One thread per test process: there is one process per core.
test: set-up
	@OMP_NUM_THREADS=1 .venv/bin/pytest --numprocesses=auto --dist=loadfile

check: set-up
	@.venv/bin/ruff check .
	@.venv/bin/pyright --pythonpath .venv/bin/python

bench: set-up
	@.venv/bin/qsft bench data
	@.venv/bin/qsft bench train
	@.venv/bin/qsft bench policy

# 100,000 mutated inputs for each parser of foreign formats; the tests of every day try some thousands. Hours.
fuzz: set-up
	@QSFT_FUZZ_INPUTS=100000 OMP_NUM_THREADS=1 .venv/bin/pytest --numprocesses=auto --timeout=0 -m fuzz tests/datasets

set-up:
	@scripts/set_up.sh
