# NNCLR in C. `make help` lists what there is to make: the targets below that have a ##.

CC       ?= cc
CFLAGS   ?= -O2 -g
SANITIZE ?=
V        ?=

# Each compiler and sanitiser has its own folder, so that switching does not rebuild. It is not build/cc
# itself: with build/ in PATH, make would take that for the compiler.
comma    := ,
BUILD    := build
OUT      := $(BUILD)/obj/$(notdir $(CC))$(if $(SANITIZE),-$(subst $(comma),-,$(SANITIZE)))

PACKAGES := libjpeg libpng zlib openblas libzstd jansson libarchive
WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wvla -Wformat=2
STRICT   := -Wconversion
SANITIZE_CFLAGS = $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer)
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -Ilib -I. $(WARN) -ffp-contract=off -fno-math-errno -pthread \
             $(PACKAGES_CFLAGS) $(SANITIZE_CFLAGS) -MMD -MP $(CPPFLAGS) $(CFLAGS) $(LOOPS)
ALL_LDFLAGS = -pthread $(if $(SANITIZE),-fsanitize=$(SANITIZE)) $(LDFLAGS)

# Goals that need no library ask for none.
ifneq ($(filter-out help deps deps-check demo check check-long check-asan uninstall dist format clean,$(or $(MAKECMDGOALS),all)),)
PACKAGES_CFLAGS := $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null || echo missing)
ifeq ($(PACKAGES_CFLAGS),missing)
MISSING := $(shell for p in $(PACKAGES); do pkg-config --exists $$p 2>/dev/null || echo $$p; done)
$(error pkg-config does not find $(MISSING): run "make deps" once)
endif
# OpenBLAS is loaded by what multiplies: lib/engine/blas.c.
LIBS := $(shell pkg-config --libs $(filter-out openblas,$(PACKAGES))) -lm -ldl
MACHINE := $(shell $(CC) -dumpmachine)
endif

# One line per file, or with V=1 the command. If a file makes several objects, the line says which.
define run
@mkdir -p $(@D)
$(if $(V),,@printf '  %-4s %s\n' '$1' '$2'; )$3
endef
compile = $(call run,CC,$<$(if $(filter $(basename $(<F)),$(basename $(@F))),, ($(basename $(@F)))),$(CC) $(ALL_CFLAGS) $1 -c -o $@ $<)
link    = $(call run,LINK,$(@F),$(CC) $(ALL_LDFLAGS) -o $@ $1 $(LIBS))

LIB_SRC  := $(sort $(wildcard lib/*/*.c))
CPU_SRC  := $(sort $(wildcard lib/engine/cpu/*.c))
# Kernels for vectors that not every x86-64 has: chosen when the program runs.
SIMD     := lib/engine/cpu/simd
SIMD_OBJ := $(if $(filter x86_64%,$(MACHINE)),$(patsubst %,$(OUT)/$(SIMD)/%.o,sift_kernels-avx2 sift_kernels-avx512))
# Activations in tiles, of bfloat16 or of floats, and their kernels for kinds of CPUs.
TILED     := lib/engine/tiles
TILED_SRC := $(filter-out $(TILED)/tiles.c,$(sort $(wildcard $(TILED)/*.c)))
TILES     := bf16-portable $(if $(filter x86_64%,$(MACHINE)),bf16-avx2 bf16-avx512 bf16-avx512bf16 bf16-amx f32-avx2 f32-avx512)
TILES_OBJ := $(TILES:%=$(OUT)/$(TILED)/tiles-%.o)
SIMD_OBJ  += $(TILED_SRC:%.c=$(OUT)/%.o) $(TILES_OBJ)
LIB_OBJ  := $(LIB_SRC:%.c=$(OUT)/%.o) $(CPU_SRC:%.c=$(OUT)/%-f32.o) $(CPU_SRC:%.c=$(OUT)/%-f64.o) $(SIMD_OBJ)
LIB_OBJ  += $(OUT)/lib/eval/page_text.o
LIB      := $(OUT)/libnnclr.a
CMD_OBJ  := $(patsubst %.c,$(OUT)/%.o,$(filter-out cmd/nnclr-%,$(sort $(wildcard cmd/*.c))))
PROGRAMS := $(notdir $(basename $(wildcard cmd/nnclr-*.c)))
THREADED := test_threads test_loader test_views test_shard test_epoch_order test_execution
UNIT     := $(notdir $(basename $(wildcard tests/unit/test_*.c)))
FUZZ     := $(notdir $(basename $(wildcard tests/fuzz/fuzz_*.c)))
EXAMPLES := $(basename $(wildcard examples/*.c examples/*/*.c))

SCRIPTS  := tests/lint tests/floors tests/fuzz/fuzz
BATS     := $(sort $(wildcard tests/cli/*.bats))
LONG     := $(patsubst tests/unit/%.c,$(OUT)/%,$(shell grep -lE 'RUN_LONG|tags=long$$' tests/unit/test_*.c $(BATS)))

.PHONY: all help completions install uninstall dist tests examples fuzz fuzz-targets fuzz-build deps deps-check demo \
        check run-checks check-long run-long-checks check-asan check-valgrind check-tsan \
        bench bench-data bench-conv bench-graph bench-lineval bench-search bench-busy clean format FORCE
.SECONDARY:
.DELETE_ON_ERROR:

# build/nnclr-* always name the programs that were built last without a sanitiser.
all: $(PROGRAMS:%=$(OUT)/%) completions ## the programs, into build/
	@$(if $(SANITIZE),,for p in $(PROGRAMS); do ln -sf $(OUT:$(BUILD)/%=%)/$$p $(BUILD)/$$p; done)

# An archive, so that a program is linked with what it uses.
$(OUT)/cmd.a: $(CMD_OBJ)
	@rm -f $@
	@$(AR) rcs $@ $^

$(OUT)/nnclr-%: $(OUT)/cmd/nnclr-%.o $(OUT)/cmd.a $(LIB)
	$(call link,$^)

$(OUT)/test_%: $(OUT)/tests/unit/test_%.o $(LIB)
	$(call link,$< $(LIB))

# A fuzz target: with libFuzzer if that is among the sanitisers, otherwise it runs given files.
FUZZ_MAIN = $(if $(findstring fuzzer,$(SANITIZE)),,$(OUT)/tests/fuzz/replay.o)
$(OUT)/fuzz_options: override LDFLAGS += -Wl,--wrap=exit
$(OUT)/fuzz_%: $(OUT)/tests/fuzz/fuzz_%.o $(OUT)/tests/fuzz/support.o $(OUT)/tests/fuzz/replay.o $(OUT)/cmd.a $(LIB)
	$(call link,$< $(OUT)/tests/fuzz/support.o $(FUZZ_MAIN) $(OUT)/cmd.a $(LIB))

$(OUT)/bench_search: LDFLAGS += -lopenblas
$(OUT)/bench_step: $(OUT)/tests/bench/op_times.o $(OUT)/tests/bench/machine_limit.o
$(OUT)/bench_%: $(OUT)/tests/bench/bench_%.o $(LIB)
	$(call link,$(filter %.o,$^) $(LIB))

$(OUT)/make_photos: $(OUT)/tests/bench/make_photos.o $(LIB)
	$(call link,$< $(LIB))

$(OUT)/examples/%: $(OUT)/examples/%.o $(LIB)
	$(call link,$< $(LIB))

# Preloaded into the programs by tests that make the disk fail; without a sanitiser of its own.
$(OUT)/inject.so: tests/inject/inject.c
	$(call run,LINK,$(@F),$(CC) -std=c11 -D_GNU_SOURCE $(WARN) $(STRICT) -O2 -g -fPIC -shared -o $@ $< -ldl)

$(LIB): $(LIB_OBJ)
	@rm -f $@
	@$(AR) rcs $@ $^

# No byte of an input reaches the engine's loops: the fuzz targets build them without sanitisers,
# which saves clang minutes.
ifneq ($(findstring fuzzer,$(SANITIZE)),)
$(OUT)/lib/engine/%.o: SANITIZE_CFLAGS :=
endif

# The reference engine, once for float and once for double.
$(OUT)/lib/engine/cpu/%-f32.o: lib/engine/cpu/%.c
	$(call compile,-O3 -DNNCLR_REAL_BITS=32)
$(OUT)/lib/engine/cpu/%-f64.o: lib/engine/cpu/%.c
	$(call compile,-O3 -DNNCLR_REAL_BITS=64)

$(OUT)/$(SIMD)/%_kernels-avx2.o: $(SIMD)/%_kernels.c
	$(call compile,-O3 -mavx2 -mfma -DNNCLR_SIMD_LANES=8)
$(OUT)/$(SIMD)/%_kernels-avx512.o: $(SIMD)/%_kernels.c
	$(call compile,-O3 -mavx2 -mfma -mavx512f -mavx512vl -mavx512bw -mavx512dq -DNNCLR_SIMD_LANES=16)

$(TILED_SRC:%.c=$(OUT)/%.o): $(OUT)/%.o: %.c
	$(call compile,-O3 -DNNCLR_REAL_BITS=32)

AVX2   := -mavx2 -mfma -DNNCLR_SIMD_LANES=8
AVX512 := -mavx2 -mfma -mavx512f -mavx512vl -mavx512bw -mavx512dq -mprefer-vector-width=512 -DNNCLR_SIMD_LANES=16
$(OUT)/$(TILED)/tiles-%-portable.o: KIND := -DTILES_KIND=PORTABLE
$(OUT)/$(TILED)/tiles-%-avx2.o: KIND := -DTILES_KIND=AVX2 $(AVX2)
$(OUT)/$(TILED)/tiles-%-avx512.o: KIND := -DTILES_KIND=AVX512 $(AVX512)
$(OUT)/$(TILED)/tiles-%-avx512bf16.o: KIND := -DTILES_KIND=AVX512BF16 $(AVX512) -mavx512bf16
$(OUT)/$(TILED)/tiles-%-amx.o: KIND := -DTILES_KIND=AMX $(AVX512) -mavx512bf16 -mamx-tile -mamx-bf16
# Vectors stay inside the file: how they would be passed to others does not matter.
$(TILES_OBJ): $(TILED)/tiles.c
	$(call compile,-O3 -Wno-psabi -DTILES_FLOATS=$(if $(findstring tiles-f32,$@),1,0) $(KIND))

# Style and script of the page of nnclr-queue-inspect, as strings.
$(OUT)/lib/eval/page_text.c: lib/eval/page.css lib/eval/page.js
	@mkdir -p $(@D)
	@{ echo '#include "eval/page_text.h"'; for part in css js; do echo "const char nnclr_page_$$part[] ="; \
	    sed 's/[\\"]/\\&/g; s/.*/"&\\n"/' lib/eval/page.$$part; echo ';'; done; } > $@
$(OUT)/lib/eval/page_text.o: $(OUT)/lib/eval/page_text.c
	$(call compile,)

$(OUT)/lib/base/%.o $(OUT)/lib/io/%.o $(OUT)/lib/image/%.o: WARN += $(STRICT)
$(OUT)/lib/image/%.o $(OUT)/lib/eval/neighbours.o: LOOPS := -O3
$(OUT)/%.o: %.c
	$(call compile,)

# What shells complete, for each program from its --help.
completions: $(foreach s,bash zsh fish,$(PROGRAMS:%=$(OUT)/completions/$s/%))
$(OUT)/completions/bash/% $(OUT)/completions/zsh/% $(OUT)/completions/fish/%: $(OUT)/% $(wildcard cmd/completions/*.awk)
	@for shell in bash zsh fish; do \
	    mkdir -p $(OUT)/completions/$$shell && $< --help | awk -v program=$* -f cmd/completions/options.awk \
	        -f cmd/completions/$$shell.awk > $(OUT)/completions/$$shell/$* || exit 1; \
	done

# The loops over pictures for the most basic of CPUs, in programs that a test compares with the
# others.
NARROW := $(patsubst lib/image/%.c,$(OUT)/narrow/%.o,$(wildcard lib/image/*.c))
$(OUT)/narrow/%.o: lib/image/%.c
	$(call compile,-O3 -DNNCLR_NARROW)
$(OUT)/narrow/nnclr-%: $(OUT)/cmd/nnclr-%.o $(NARROW) $(OUT)/cmd.a $(LIB)
	$(call link,$^)

help:
	@echo 'make [TARGET] [VARIABLE=...]'
	@echo
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/\1\t\2/p' Makefile | awk -F '\t' '{ printf "  %-16s %s\n", $$1, $$2 }'
	@echo
	@echo 'Variables: CC, CPPFLAGS, CFLAGS, LDFLAGS; SANITIZE=address,undefined or thread; V=1 shows commands;'
	@echo 'PREFIX and DESTDIR of install; FUZZ_SECONDS and FUZZ_TARGETS of fuzz; BENCH_ROUNDS and others of bench*,'
	@echo 'which tests/bench/README.md lists.'

tests: $(UNIT:%=$(OUT)/%) $(OUT)/inject.so $(OUT)/narrow/nnclr-prep $(OUT)/narrow/nnclr-views
examples: $(EXAMPLES:%=$(OUT)/%)
fuzz-targets: $(FUZZ:%=$(OUT)/%)

deps: ## install what building needs, by Debian package name
	@tests/deps build
deps-check:
	@tests/deps check

demo: deps ## build, and show the whole way on pictures that it draws itself
	@$(MAKE) --no-print-directory all examples
	@examples/shapes/run.sh $(BUILD) $(BUILD)/demo

# ---- installing ----

PREFIX  ?= /usr/local
DESTDIR ?=
VERSION := $(shell sed -n 's/^.define NNCLR_VERSION "\(.*\)"/\1/p' cmd/cli.h)
PAGES   := $(sort $(wildcard man/*.[1-9]))
# FROM:TO of every file, TO below PREFIX. The one that draws pictures serves the examples only.
INSTALLED := $(foreach p,$(PROGRAMS),$(OUT)/$p:bin/$p \
                 $(OUT)/completions/bash/$p:share/bash-completion/completions/$p \
                 $(OUT)/completions/zsh/$p:share/zsh/site-functions/_$p \
                 $(OUT)/completions/fish/$p:share/fish/vendor_completions.d/$p.fish) \
             $(OUT)/examples/shapes/make-shapes:libexec/nnclr/make-shapes \
             $(foreach page,$(PAGES),$(page):share/man/man$(patsubst .%,%,$(suffix $(page)))/$(notdir $(page))) \
             $(foreach file,README.md CHANGELOG.md LICENSE $(filter-out %.c,$(wildcard examples/*.mk examples/*/*)), \
                 $(file):share/doc/nnclr/$(file))

install: all examples ## programs, manual pages, examples and completions into PREFIX
	@for pair in $(INSTALLED); do \
	    from=$${pair%%:*} mode=644; \
	    [ ! -x "$$from" ] || mode=755; \
	    install -D -m $$mode "$$from" "$(DESTDIR)$(PREFIX)/$${pair#*:}" || exit 1; \
	done

# Files that install puts there, and folders that nobody else has.
uninstall: ## remove what install put there
	@for pair in $(INSTALLED); do rm -f "$(DESTDIR)$(PREFIX)/$${pair#*:}"; done
	@for folder in share/doc/nnclr libexec/nnclr; do \
	    [ ! -d "$(DESTDIR)$(PREFIX)/$$folder" ] || find "$(DESTDIR)$(PREFIX)/$$folder" -depth -type d -empty -delete; \
	done

# The files that git knows, as they are here, with the date of the last commit: equal files give equal
# bytes.
DIST := nnclr-$(VERSION)
dist: ## build/nnclr-VERSION.tar.gz, the same bytes for the same files
	@[ "$$(git ls-files Makefile)" = Makefile ] || { echo 'dist: this is not a git repository' >&2; exit 1; }
	@mkdir -p $(BUILD)
	git ls-files -z | LC_ALL=C sort -z | tar --no-recursion --null -T - --format=ustar --owner=0 --group=0 --numeric-owner \
	    --mode=u=rwX,go=rX --mtime="@$$(git log -1 --format=%ct)" --transform='flags=r;s,^,$(DIST)/,' \
	    -cf $(BUILD)/$(DIST).tar
	gzip -9nf $(BUILD)/$(DIST).tar

# ---- checks ----

# Everything is built first, so that what runs is what is here. Programs are started in the order
# given, one for each CPU: the bats files, which take longest, before the unit tests.
check: deps-check ## install what the tests need, and run them: minutes
	@$(MAKE) --no-print-directory run-checks
run-checks: all tests examples fuzz-targets
	@NNCLR_BIN=$(abspath $(OUT)) $(FUZZ_ENV) tests/run $(SCRIPTS) $(BATS) $(UNIT:%=$(OUT)/%)

check-long: deps-check ## and the tests that take longer, short fuzzing, and threads under their sanitiser
	@$(MAKE) --no-print-directory run-long-checks
	@$(MAKE) --no-print-directory check-tsan
run-long-checks: all tests examples fuzz-build
	@NNCLR_BIN=$(abspath $(OUT)) $(FUZZ_ENV) NNCLR_LONG=1 tests/run tests/lint tests/fuzz/fuzz $(LONG)

check-asan: ## the same under gcc's address and undefined-behaviour sanitisers; leaks count
	@$(MAKE) --no-print-directory SANITIZE=address,undefined CFLAGS="-O1 -g" check

# Every parser against libFuzzer under clang's sanitisers. `make check-long` does it for seconds; here
# each of the targets runs for FUZZ_SECONDS (FUZZ_TARGETS="jpeg png": only these), so all of them take
# about three hours. Inputs that were found to be new stay in build/fuzz, and the next run goes on
# with them. A finding ends it, and its file is named: build/obj/cc/fuzz_NAME FILE runs it again.
FUZZ_CC       ?= clang
FUZZ_SECONDS  ?= 600
FUZZ_SANITIZE := fuzzer,address,undefined,float-cast-overflow
FUZZ_BIN      := $(BUILD)/obj/$(notdir $(FUZZ_CC))-$(subst $(comma),-,$(FUZZ_SANITIZE))
FUZZ_WORKS    := echo 'int LLVMFuzzerTestOneInput(const char *p, long n) { return !p && n; }' | \
                 $(FUZZ_CC) -fsanitize=$(FUZZ_SANITIZE) -x c -o /dev/null - >/dev/null 2>&1
FUZZ_ENV       = FUZZ_REPLAY=$(OUT) FUZZ_BIN=$$($(if $(SANITIZE),false,$(FUZZ_WORKS)) && echo $(FUZZ_BIN))

fuzz: fuzz-targets fuzz-build ## damaged input for every parser, for hours
	@$(FUZZ_ENV) tests/fuzz/fuzz $(FUZZ_SECONDS)

fuzz-build:
	@$(if $(SANITIZE),true,! { $(FUZZ_WORKS); } || $(MAKE) --no-print-directory CC=$(FUZZ_CC) \
	    SANITIZE=$(FUZZ_SANITIZE) CFLAGS="-O1 -g" fuzz-targets)

# Each claim of speed compared with its peer, on an otherwise idle machine: tests/bench/README.md.
bench: all examples $(OUT)/bench_step $(OUT)/bench_peak ## training and inference beside PyTorch
	@tests/bench/run $(OUT) $(OUT)/examples

bench-data: all $(OUT)/bench_views $(OUT)/bench_jpeg $(OUT)/make_photos ## reading, views and packing beside torchvision and Pillow
	@tests/bench/data $(OUT)

bench-conv: $(OUT)/bench_conv ## each convolution of a ResNet-18: milliseconds and GFLOP/s
	@$<

bench-busy: all examples ## training beside a loop that keeps one CPU busy
	@tests/bench/busy $(OUT) $(OUT)/examples

bench-search: $(OUT)/bench_search ## the search of the support set beside OpenBLAS
	@$<

bench-graph: $(OUT)/bench_graph ## the neighbour graph of 100,000 rows of 256 beside NumPy's
	@tests/bench/graph $(OUT)

bench-lineval: all ## kNN and the linear classifier beside scikit-learn
	@tests/bench/lineval $(OUT)

# The unit tests of what is threaded, and the tests of programs that compare numbers of threads.
check-tsan: ## what is threaded, under the thread sanitiser
	@$(MAKE) --no-print-directory SANITIZE=thread CFLAGS="-O1 -g" all tests examples
	@tests/run $(addprefix $(BUILD)/obj/$(notdir $(CC))-thread/,$(THREADED))
	@NNCLR_BIN=$(abspath $(BUILD)/obj/$(notdir $(CC))-thread) bats -f "number of threads" \
	    tests/cli/prep.bats tests/cli/embed.bats tests/cli/pretrain.bats

# libjpeg without its vector code, in which valgrind sees undefined bytes that decide nothing.
check-valgrind: tests ## the unit tests under valgrind
	@NNCLR_WRAP="env JSIMD_FORCENONE=1 valgrind -q --leak-check=full --error-exitcode=9" \
	    tests/run $(UNIT:%=$(OUT)/%)

clean: ## remove build/
	rm -rf $(BUILD)

format: ## clang-format over every C file
	clang-format -i $(wildcard lib/*/*.[ch] lib/*/*/*.[ch] lib/*/*/*/*.[ch] cmd/*.[ch] tests/*/*.[ch] examples/*.c examples/*/*.[ch])

OBJECTS := $(LIB_OBJ) $(CMD_OBJ) $(NARROW) $(PROGRAMS:%=$(OUT)/cmd/%.o) $(EXAMPLES:%=$(OUT)/%.o) \
           $(UNIT:%=$(OUT)/tests/unit/%.o) $(patsubst %.c,$(OUT)/%.o,$(wildcard tests/bench/*.c tests/fuzz/*.c))

# Flags that change rebuild what was made with others.
$(OBJECTS): $(OUT)/flags
FLAGS := $(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(LIBS)
$(OUT)/flags: export CURRENT := $(FLAGS)
$(OUT)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' "$$CURRENT" | cmp -s - $@ || printf '%s\n' "$$CURRENT" > $@
FORCE:

-include $(OBJECTS:.o=.d)
