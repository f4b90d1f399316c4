.PHONY: demo test test-optional check bench fuzz ros set-up

demo: set-up
	@.venv/bin/qsft demo --preset demo --out runs/demo

# One thread per test process: there is one process per core.
test: ros
	@OMP_NUM_THREADS=1 .venv/bin/pytest --numprocesses=auto --dist=loadfile

# What `make test` skips: Ray on a cluster of two nodes, array_record, TensorFlow Datasets.
test-optional: set-up
	@scripts/test_optional.sh

check: ros
	@.venv/bin/ruff check .
	@.venv/bin/pyright --pythonpath .venv/bin/python

bench: ros
	@.venv/bin/qsft bench data
	@.venv/bin/qsft bench train
	@.venv/bin/qsft bench text
	@.venv/bin/qsft bench policy
	@.venv/bin/qsft bench ros
	@.venv/bin/qsft bench serve

# 100,000 mutated inputs for each parser of foreign formats; the tests of every day try some thousands. An hour and more.
fuzz: set-up
	@.venv/bin/python benchmarks/bench_fuzz.py

# The nodes and interfaces of ROS 2, where ROS 2 is: 30 s, then only what has changed.
ros: set-up
	@.venv/bin/python ros2_ws/build.py --where-possible

set-up:
	@scripts/set_up.sh
