# Two commands for a new machine (Debian 12, as root): `make run`, then `make test`.
BAZEL ?= bazel
RUNSC := bazel-bin/runsc/runsc
DEMO := uname -a; id; ls -l /; cat /proc/self/status; python3 -c "print(sum(range(10**6)))" | tee /tmp/x; wc /tmp/x

.PHONY: all deps run test lint bench format

all: deps
	$(BAZEL) build -c opt //runsc

deps:
	tools/install-deps build

run: all
	$(RUNSC) do -- /bin/bash -c '$(DEMO)'

test:
	tools/test

lint:
	tools/install-deps build test
	test/lint/run

bench:
	tools/install-deps build test bench
	bench/run

format:
	tools/install-deps format
	git ls-files '*.cc' '*.h' | xargs clang-format-19 -i
