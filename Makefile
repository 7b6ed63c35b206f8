# What there is to make. CI=true turns what would be skipped into a failure.

GO     ?= go
PREFIX ?= /usr/local
GOARCH ?= $(shell $(GO) env GOARCH)

# Where there is an entry of our own (internal/early), the program begins there.
ENTRY = case $$GOARCH in amd64|arm64) echo -E dmcow_entry; esac
# What --version says comes from packaging/version alone, so that the same files give the same bytes everywhere.
STAMP = -X 'dmcow/internal/version.stamp=$(shell packaging/version)'
BUILD = export GOARCH=$${GOARCH:-$(GOARCH)}; CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -tags=stamped -ldflags="-s -w $(STAMP) $$($(ENTRY))"
UMLEXEC = $(CURDIR)/build/umlexec

# The kernel that kernel tests run in, of those that "make kernels" fetches (KERNEL=6.12, or a name of a release of
# Debian): the newest where it was fetched, else the installed one (KERNEL=). Kernels from 6.16 on take a fifth of the
# time, and two at once do not hold each other up: they do not trace the processes in them.
KERNELS = $(CURDIR)/build/kernels
NEWEST = forky
KERNEL ?= $(if $(wildcard $(KERNELS)/$(NEWEST)/complete),$(NEWEST))
IN_KERNEL = $(if $(KERNEL),DMCOW_LAB_KERNEL=$(KERNELS)/$(KERNEL))

# The packages that have kernel tests.
OF_TARGETS = ./internal/cache ./internal/integrity ./internal/md ./internal/thin ./internal/volume ./internal/writecache
KERNEL_TESTS = ./cmd ./check ./repair ./fs/ext ./fs/xfs ./store ./internal/device ./internal/inuse ./internal/kernellab/... ./internal/soak $(OF_TARGETS)

.PHONY: build man completions demo test test-all lab host-test long-test long-host long-kernel kernel-test kernel-half kernel-lvm kernel-rest kernel-others kernel-long kernels other-kernels soak soak-run scope race bench lint fuzz mutants cross foreign-test testdata packages packages-test packages-proof packages-lint packages-reproducible install clean

build:
	$(BUILD) -o dmcow .

# The pages of the manual (man build/man/man8/dmcow.8) and the completions of bash, zsh and fish, from the command
# line's own model. Pages bear the date of SOURCE_DATE_EPOCH, or of the last commit.
man:
	SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(packaging/version | cut -d' ' -f3)} $(GO) run ./internal/manual man build/man

completions:
	$(GO) run ./internal/manual completions build/completions

# The main job, on the COW device of a real LVM snapshot of an ext4 volume: what the README shows.
demo: build
	@mkdir -p build
	@gunzip -c testdata/lvm/linear.0.gz >build/disk.img
	./dmcow list build/disk.img
	@gunzip -c testdata/kernel/lvm-ext4.cow.gz >build/snap.cow
	@gunzip -c testdata/kernel/lvm-ext4.origin.gz >build/origin.img
	./dmcow usage --origin build/origin.img build/snap.cow
	./dmcow check --origin build/origin.img build/snap.cow
	./dmcow dump --ranges build/snap.cow | head -n 10
	./dmcow diff --origin build/origin.img --summary build/snap.cow
	@rm -f build/that-day.img
	./dmcow export --origin build/origin.img --hash sha256 build/snap.cow build/that-day.img
	@rm build/that-day.img # for whoever types this again
	./dmcow check vg0/snap --pv build/disk.img

# All tests but those that take long, in some eight minutes on two idle processors: in the newest kernel where that
# can be had, else in the installed one.
test: lab
	@internal/kernellab/kernels $(KERNELS) $(NEWEST) || [ "$$CI" != true ]
	@$(MAKE) --no-print-directory -j2 host-test kernel-test
	@echo 'make test: all well. Beside this, make test-all does more of what chance decides (long-test, soak), goes deeper'
	@echo '(scope), and goes through the kernels of other releases (kernels), other processors (foreign-test), races (race)'
	@echo 'and fuzz targets (fuzz).'

test-all: test long-test
	$(MAKE) -j2 --output-sync=target soak scope
	$(MAKE) kernels foreign-test race fuzz

# The kernel tests run in the real kernel, as a process (User-Mode Linux), which takes one processor.
lab:
	@internal/kernellab/install || [ "$$CI" != true ]

host-test:
	@internal/manual/install || [ "$$CI" != true ]
	@packaging/monitoring-tools || [ "$$CI" != true ]
	$(GO) test -timeout=20m ./...

# Tests called TestLong… and TestKernelLong… do more of what others do, and some tests have more cases.
long-test:
	@DMCOW_LONG=others $(MAKE) -j2 --output-sync=target long-host long-kernel

long-kernel:
	@$(call in-lab,kernel-long)

long-host:
	$(GO) test -count=1 -timeout=20m -run '^TestLong' $$(grep -rl --exclude-dir=build --include='*_test.go' '^func TestLong' . | xargs -n1 dirname | sort -u)

kernel-test:
	@$(call in-lab,--no-print-directory -j2 kernel-others kernel-rest kernel-half kernel-lvm)

# What make is to do where there is a kernel to do it in.
in-lab = if internal/kernellab/install $(if $(KERNEL),&& { [ -e $(KERNELS)/$(KERNEL)/complete ] || internal/kernellab/kernels $(KERNELS); }); then \
		set -ex; \
		$(GO) build -o $(UMLEXEC) ./internal/kernellab/umlexec; \
		$(MAKE) $(1); \
	elif [ "$$CI" = true ]; then \
		echo 'kernel tests: FAILED, there is no kernel to run them in'; exit 1; \
	else \
		echo 'kernel tests: SKIPPED, for the reason above'; \
	fi

# Most kernel tests are in cmd: they are parts of about the same length, of which two run at once.
HALF = ^TestKernel(Me|[N-OQT-Z]|R[^e]|S[^tp])
KERNEL_TEST = $(IN_KERNEL) DMCOW_LAB_TIMEOUT=35m $(GO) test -p=1 -count=1 -timeout=35m -exec $(UMLEXEC)
BUT = ^$$
kernel-half:
	$(KERNEL_TEST) -run '$(HALF)' -skip '$(BUT)' ./cmd

kernel-lvm:
	$(KERNEL_TEST) -run '^TestKernelLVM' -skip '$(BUT)' ./cmd

kernel-rest:
	$(KERNEL_TEST) -run '^TestKernel' -skip '$(HALF)|^TestKernelLVM|$(BUT)' ./cmd

kernel-others:
	$(KERNEL_TEST) -run '^TestKernel' $(filter-out ./cmd,$(KERNEL_TESTS))

kernel-long:
	$(KERNEL_TEST) -run '^TestKernel(Long|Layouts|StaleImages|Resync|Rebuild|Moving|ChangedRAID|MergeLayouts|MergeMoving)' ./cmd
	$(KERNEL_TEST) -run '^TestKernel(Trees|Orphans)' ./fs/ext ./fs/xfs

# The kernel tests in the kernels of four releases of Debian, each with its release's LVM.
kernels:
	internal/kernellab/kernels $(KERNELS)
	set -e; for kernel in $$(ls -d $(KERNELS)/*.*); do $(MAKE) kernel-test KERNEL=$${kernel##*/}; done

# Of these, the other kernels than the newest, without the tests of what is dmcow's own: mounting through FUSE, being
# killed, two commands at once, what arrays, targets and file systems keep on disk, watching. 6.12 has the newest's LVM.
OTHERS_BUT = Mount|TwoAtOnce|.*Killed|PowerCuts|.*WithoutRoot|Layout|StaleImages|SplitImage|Resync|Rebuild|Moving|ChangedRAID|RAIDStore|Virtual|ErrorSegment|MergeLayouts|MergeMoving|MergeUnsynced|MergeOfFileSystems|LVMSeveral|Files|Watch|Readers
other-kernels: lab
	internal/kernellab/kernels $(KERNELS)
	set -e; for kernel in $$(ls -d $(KERNELS)/*.*); do \
		version=$${kernel##*/}; but='$(OTHERS_BUT)'; [ $$version != 6.12 ] || but="$$but|LVM"; \
		[ "$$(readlink $$kernel)" = $(NEWEST) ] || \
		$(MAKE) kernel-test KERNEL=$$version BUT="^TestKernel($$but)" KERNEL_TESTS='./check ./repair ./store ./internal/device ./internal/soak'; \
	done

# Stores that are made from numbers, each held against what the driver does with it (internal/soak): from
# SEED on, for as long as SOAK says. Some 10,000 an hour.
SOAK ?= 2m
SEED ?= 1
soak:
	@$(call in-lab,soak-run)

soak-run:
	$(IN_KERNEL) DMCOW_SOAK=$(SOAK) DMCOW_SOAK_SEED=$(SEED) DMCOW_LAB_TIMEOUT=$(SOAK)15m \
		$(GO) test -v -count=1 -timeout=0 -exec $(UMLEXEC) -run '^TestKernelSoak' ./internal/soak

# Every history of a small world, as long as that fits the time, against a model (TestSmallScope).
SCOPE ?= 2m
scope:
	DMCOW_SCOPE=$(SCOPE) $(GO) test -count=1 -timeout=20m -v -run '^TestSmallScope$$' ./store/merge

# The packages that have goroutines, and the commands that do, under Go's race detector, which needs
# a C compiler (Debian: gcc libc6-dev).
race:
	$(GO) test -race -short -timeout=20m ./format ./store ./store/apply ./store/delta ./store/merge ./view ./internal/ahead ./internal/device ./internal/inuse ./internal/raid
	$(GO) test -race -short -timeout=20m -run 'Mount|Export|Signal|InterruptedPipe|Question|Progress' ./cmd

# Whole-process figures, as ratios. BENCH=-huge adds a store of 2^28
# exceptions; BENCH=-merge measures merges alone.
bench: lab
	$(GO) run ./internal/bench $(BENCH)

lint:
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "gofmt: $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) mod tidy -diff

# Each fuzz target for a short while. Before Go 1.27 the end of that while is now and then told
# as a failure, of no input (golang.org/issue/75804): then the target is run again, up to four times.
FUZZTIME ?= 10s
fuzz:
	@mkdir -p build
	@fuzz() { $(GO) test -run='^$$' -fuzz="^$$target\$$" -fuzztime=$(FUZZTIME) -fuzzminimizetime=100x $$pkg >build/fuzz.log 2>&1; }; \
	only_time_ran_out() { grep -q '^ *context deadline exceeded' build/fuzz.log && ! grep -q 'Failing input' build/fuzz.log; }; \
	set -e; for pkg in $$(grep -rl --exclude-dir=build --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9]*\).*/\1/p' $$pkg/*_test.go); do \
			echo "$$pkg $$target"; \
			tries=1; until fuzz; do \
				only_time_ran_out && [ $$tries -lt 4 ] || { cat build/fuzz.log; exit 1; }; \
				tries=$$((tries + 1)); \
			done; \
		done; \
	done

# Mutants: changes of one operator that no test notices (internal/mutants), in the lines that are others than at
# SINCE, or in all of PACKAGE: format, check, repair, store, store/merge and the like (store/... is all of them), view,
# lvm, snapshot. WORKERS run at once. MUTANTS are other flags, such as -more, or -again build/mutants.json.
SINCE ?= origin/main
WORKERS ?= 2
mutants:
	@mkdir -p build
	$(GO) run ./internal/mutants -workers $(WORKERS) -json build/mutants.json $(MUTANTS) $(if $(PACKAGE),$(PACKAGE),-since $(SINCE))

cross:
	@mkdir -p build
	for GOARCH in amd64 arm64 386 s390x; do $(BUILD) -o build/dmcow-$$GOARCH . || exit 1; done
	GOARCH=386 $(GO) vet ./...

# The tests that need no kernel, on the other kinds of processor: 386 where this
# one's kernel runs its programs (Go's do not run in qemu-i386), and s390x, which is
# big-endian, under qemu where that is installed: there without those of crashes and faults, which
# take long, and in which the order of bytes is what it is in all others.
FOREIGN_TESTS = ./format ./fs ./fs/ext ./lvm ./dump ./store ./store/apply ./store/delta ./store/lvmsync ./store/merge ./view ./check ./repair ./snapshot ./internal/ahead ./internal/bitmap ./internal/memory ./internal/mirrorlog ./internal/naive ./internal/pace ./internal/pacefile ./internal/raid ./internal/raidmeta ./internal/raw ./internal/storespec
foreign-test:
	@if GOARCH=386 $(GO) test -run='^$$' ./format >/dev/null 2>&1; then set -x; \
		GOARCH=386 $(GO) test -short $(FOREIGN_TESTS) ./cmd ./internal/device; \
	else echo '386: SKIPPED, this kernel does not run programs for 386'; fi
	@if command -v qemu-s390x >/dev/null; then set -x; \
		GOARCH=s390x $(GO) test -p=1 -exec qemu-s390x -short -skip 'Crash|Fault|Killed|Matrix|Trees|Damage' $(FOREIGN_TESTS); \
	else echo 's390x: SKIPPED, there is no qemu-s390x (Debian: qemu-user)'; fi

# Make the stores of testdata/kernel again, with the kernel's answers, the volume groups
# of testdata/lvm, with LVM's, the kernel's verdicts on those of testdata/damaged, and small file systems, with what
# debugfs or the kernel reads of them.
testdata:
	@mkdir -p testdata/kernel
	internal/kernellab/install
	$(GO) build -o $(UMLEXEC) ./internal/kernellab/umlexec
	DMCOW_UPDATE=1 DMCOW_LAB_OUT=$(CURDIR)/testdata/kernel $(GO) test -count=1 -exec $(UMLEXEC) ./internal/kernellab/corpus
	DMCOW_UPDATE=1 DMCOW_LAB_OUT=$(CURDIR)/testdata/kernel $(GO) test -count=1 -run PowerCut ./internal/kernellab/corpus
	@mkdir -p testdata/lvm
	DMCOW_UPDATE=1 DMCOW_LAB_OUT=$(CURDIR)/testdata/lvm $(GO) test -count=1 -exec $(UMLEXEC) -run '^TestKernel(LVMNames|LayoutCorpus)' ./cmd
	DMCOW_UPDATE=1 DMCOW_LAB_OUT=$(CURDIR)/testdata/damaged $(GO) test -count=1 -exec $(UMLEXEC) -run '^TestKernelVerdicts' ./check
	DMCOW_UPDATE=1 $(GO) test -count=1 -run '^TestImages' ./fs/ext
	@mkdir -p fs/xfs/testdata
	DMCOW_UPDATE=1 DMCOW_LAB_OUT=$(CURDIR)/fs/xfs/testdata $(GO) test -count=1 -exec $(UMLEXEC) -run '^TestKernelImages' ./fs/xfs

# Packages for Debian, Fedora and Alpine, and what else makes a release: see docs/RELEASE.md.
packages: build/bin/nfpm build/bin/cyclonedx-gomod
	rm -rf build/man build/completions
	export SOURCE_DATE_EPOCH=$$(packaging/version | cut -d ' ' -f 3); $(MAKE) man completions
	for GOARCH in amd64 arm64; do $(BUILD) -o build/dmcow-$$GOARCH . || exit 1; done
	GO=$(GO) packaging/build

# What is tested of them. Two at once; each installs what it lacks.
packages-test: packages
	$(MAKE) -j2 --output-sync=target packages-proof packages-lint packages-reproducible

packages-proof packages-lint packages-reproducible:
	packaging/$(patsubst proof,prove,$(@:packages-%=%))

build/bin/nfpm:
	GOBIN=$(CURDIR)/build/bin $(GO) install github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2

build/bin/cyclonedx-gomod:
	GOBIN=$(CURDIR)/build/bin $(GO) install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0

install: build
	install -D -m 755 dmcow $(DESTDIR)$(PREFIX)/sbin/dmcow

clean:
	rm -rf build dmcow
