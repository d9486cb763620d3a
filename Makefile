# NNCLR in C. `make help` lists what there is to make: the targets below that have a ##.

CC       ?= cc
CFLAGS   ?= -O2 -g
SANITIZE ?=
MPI      ?=
CUDA     ?=
CUDA_HOME ?= /usr/local/cuda
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
ifneq ($(MPI),)
MPI_CFLAGS := $(patsubst -I%,-isystem %,$(shell pkg-config --cflags ompi-c 2>/dev/null || echo missing))
ifeq ($(MPI_CFLAGS),missing)
$(error pkg-config does not find ompi-c (Open MPI): run "make deps MPI=1" once)
endif
MPI_LIBS := $(shell pkg-config --libs ompi-c)
endif
ifneq ($(CUDA),)
ifeq ($(wildcard $(CUDA_HOME)/bin/nvcc),)
$(error $(CUDA_HOME) has no bin/nvcc: CUDA_HOME=FOLDER says where the CUDA toolkit is)
endif
endif
endif

# One line per file, or with V=1 the command. If a file makes several objects, the line says which.
define run
@mkdir -p $(@D)
$(if $(V),,@printf '  %-4s %s\n' '$1' '$2'; )$3
endef
compile = $(call run,CC,$<$(if $(filter $(basename $(<F)),$(basename $(@F))),, ($(basename $(@F)))),$(CC) $(ALL_CFLAGS) $1 -c -o $@ $<)
link    = $(call run,LINK,$(@F),$(CC) $(ALL_LDFLAGS) -o $@ $1 $(LIBS))

LIB_SRC  := $(filter-out lib/engine/mpi/%,$(sort $(wildcard lib/*/*.c lib/engine/*/*.c \
                lib/engine/cuda/kernels/*.c lib/engine/cuda/host/*.c)))
# NAME-VARIANT.o is made of NAME.c with the flags of VARIANT: the reference engine in float and in double;
# kernels for tiles of activations in bfloat16 or float, and for vectors that not every x86-64 has, chosen
# when the program runs.
X86      := $(filter x86_64%,$(MACHINE))
VARIANTS := $(foreach bits,f32 f64,$(patsubst %.c,%-$(bits),$(wildcard lib/engine/cpu/*.c))) \
            $(addprefix lib/engine/tiles/tiles-,bf16-portable \
                $(if $(X86),bf16-avx2 bf16-avx512 bf16-avx512bf16 bf16-amx f32-avx2 f32-avx512)) \
            $(if $(X86),$(addprefix lib/engine/cpu/simd/sift_kernels-,avx2 avx512))
TILED    := $(filter-out lib/engine/tiles/tiles.c,$(wildcard lib/engine/tiles/*.c))
ONCE     := $(filter-out $(foreach v,$(VARIANTS),$(firstword $(subst -, ,$v))),$(LIB_SRC:.c=))
LIB_OBJ  := $(patsubst %,$(OUT)/%.o,$(sort $(ONCE) $(VARIANTS)) lib/eval/page_text)
LIB      := $(OUT)/libnnclr.a
# With MPI=1, what programs load when MPI starts several of them as one.
PLUGIN     := $(if $(MPI),$(OUT)/nnclr-mpi.so) $(if $(CUDA),$(OUT)/nnclr-cuda.so)
PLUGIN_OBJ := lib/engine/mpi/mpi-shared lib/base/error-shared
# With CUDA=1, what they load for engine cuda; its kernels are compiled for GPUs.
CUDA_OBJ   := $(patsubst %.c,%-gpu,$(wildcard lib/engine/cuda/*.c lib/engine/cuda/device/*.c)) \
              $(addsuffix -gpu,lib/base/error lib/base/memory lib/base/available_memory lib/engine/conv_shape)
CUDA_KERNELS := $(patsubst %.c,$(OUT)/%-device.o,$(wildcard lib/engine/cuda/kernels/*.c))
NARROW   := $(patsubst %.c,%-narrow,$(wildcard lib/image/*.c))
CMD_OBJ  := $(patsubst %.c,$(OUT)/%.o,$(filter-out cmd/nnclr-%,$(sort $(wildcard cmd/*.c))))
PROGRAMS := $(notdir $(basename $(wildcard cmd/nnclr-*.c)))
EXAMPLES := $(basename $(wildcard examples/*.c examples/*/*.c))

.PHONY: all help completions examples deps demo install uninstall dist clean format FORCE
.SECONDARY:
.DELETE_ON_ERROR:

# build/nnclr-* always name the programs that were built last without a sanitiser.
all: $(PROGRAMS:%=$(OUT)/%) $(PLUGIN) completions ## the programs, into build/
	@$(if $(SANITIZE),,for p in $(PROGRAMS) $(notdir $(PLUGIN)); do ln -sf $(OUT:$(BUILD)/%=%)/$$p $(BUILD)/$$p; done)

# An archive, so that a program is linked with what it uses.
$(OUT)/cmd.a: $(CMD_OBJ)
	@rm -f $@
	@$(AR) rcs $@ $^

$(OUT)/nnclr-%: $(OUT)/cmd/nnclr-%.o $(OUT)/cmd.a $(LIB)
	$(call link,$^)

$(OUT)/nnclr-mpi.so: $(PLUGIN_OBJ:%=$(OUT)/%.o)
	$(call run,LINK,$(@F),$(CC) -shared $(ALL_LDFLAGS) -o $@ $^ $(MPI_LIBS))

$(OUT)/nnclr-cuda.so: $(CUDA_OBJ:%=$(OUT)/%.o) $(CUDA_KERNELS)
	$(call run,LINK,$(@F),$(CC) -shared $(ALL_LDFLAGS) $(if $(SANITIZE),,-Wl$(comma)--no-undefined) -o $@ $^ $(CUDA_LIBS))

CUDA_LIBS := -L$(CUDA_HOME)/lib64 -lcudart -lcublasLt -lcudnn -lstdc++ -lm
# Sums are those of the host: no fused operations.
NVCC_FLAGS := -x cu -std=c++17 -O3 -fmad=false -Ilib -Xcompiler -fPIC,-fvisibility=hidden,-Wall,-Wextra,-Wshadow \
              -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=[sm_90,compute_90]
$(OUT)/%-device.o: %.c $(wildcard lib/engine/cuda/kernels/*.h)
	$(call run,NVCC,$<,$(CUDA_HOME)/bin/nvcc $(NVCC_FLAGS) -c -o $@ $<)

$(OUT)/examples/%: $(OUT)/examples/%.o $(LIB)
	$(call link,$< $(LIB))

$(LIB): $(LIB_OBJ)
	@rm -f $@
	@$(AR) rcs $@ $^

# No byte of an input reaches the engine's loops: the fuzz targets build them without sanitisers,
# which saves clang minutes.
ifneq ($(findstring fuzzer,$(SANITIZE)),)
$(OUT)/lib/engine/%.o: SANITIZE_CFLAGS :=
endif

flags-f32        := -DNNCLR_REAL_BITS=32 -DTILES_FLOATS=1
flags-f64        := -DNNCLR_REAL_BITS=64
flags-bf16       := -DNNCLR_REAL_BITS=32 -DTILES_FLOATS=0
flags-portable   := -DTILES_KIND=PORTABLE
flags-avx2       := -DTILES_KIND=AVX2 -mavx2 -mfma -DNNCLR_SIMD_LANES=8
AVX512           := -mavx2 -mfma -mavx512f -mavx512vl -mavx512bw -mavx512dq -mprefer-vector-width=512 -DNNCLR_SIMD_LANES=16
flags-avx512     := -DTILES_KIND=AVX512 $(AVX512)
flags-avx512bf16 := -DTILES_KIND=AVX512BF16 $(AVX512) -mavx512bf16
flags-amx        := -DTILES_KIND=AMX $(AVX512) -mavx512bf16 -mamx-tile -mamx-bf16
flags-shared     := -fPIC -fvisibility=hidden $(MPI_CFLAGS)
flags-gpu         = -fPIC -fvisibility=hidden -isystem $(CUDA_HOME)/include
# For the most basic of CPUs, in programs that a test compares with the others.
flags-narrow     := -DNNCLR_NARROW

.SECONDEXPANSION:
words = $(subst -, ,$*)
$(patsubst %,$(OUT)/%.o,$(VARIANTS) $(NARROW) $(PLUGIN_OBJ) $(CUDA_OBJ)): $(OUT)/%.o: $$(firstword $$(words)).c
	$(call compile,$(foreach variant,$(wordlist 2,9,$(words)),$(flags-$(variant))))
# Vectors stay inside the file: how they would be passed to others does not matter.
$(OUT)/lib/engine/tiles/tiles-%.o: WARN += -Wno-psabi
$(TILED:%.c=$(OUT)/%.o): LOOPS += -DNNCLR_REAL_BITS=32

# Style and script of the page of nnclr-queue-inspect, as strings.
$(OUT)/lib/eval/page_text.c: lib/eval/page.css lib/eval/page.js
	@mkdir -p $(@D)
	@{ echo '#include "eval/page_text.h"'; for part in css js; do echo "const char nnclr_page_$$part[] ="; \
	    sed 's/[\\"]/\\&/g; s/.*/"&\\n"/' lib/eval/page.$$part; echo ';'; done; } > $@
$(OUT)/lib/eval/page_text.o: $(OUT)/lib/eval/page_text.c
	$(call compile,)

$(OUT)/lib/base/%.o $(OUT)/lib/io/%.o $(OUT)/lib/image/%.o: WARN += $(STRICT)
LOOPS_O3 := lib/image/% lib/engine/cpu/% lib/engine/tiles/% lib/eval/neighbours
$(LOOPS_O3:%=$(OUT)/%.o): LOOPS := -O3
$(OUT)/%.o: %.c
	$(call compile,)

# What shells complete, for each program from its --help.
completions: $(foreach s,bash zsh fish,$(PROGRAMS:%=$(OUT)/completions/$s/%))
$(OUT)/completions/bash/% $(OUT)/completions/zsh/% $(OUT)/completions/fish/%: $(OUT)/% $(wildcard cmd/completions/*.awk)
	@for shell in bash zsh fish; do \
	    mkdir -p $(OUT)/completions/$$shell && $< --help | awk -v program=$* -f cmd/completions/options.awk \
	        -f cmd/completions/$$shell.awk > $(OUT)/completions/$$shell/$* || exit 1; \
	done

help:
	@echo 'make [TARGET] [VARIABLE=...]'
	@echo
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/\1\t\2/p' Makefile tests/Makefile tests/bench/Makefile | awk -F '\t' '{ printf "  %-16s %s\n", $$1, $$2 }'
	@echo
	@echo 'Variables: CC, CPPFLAGS, CFLAGS, LDFLAGS; SANITIZE=address,undefined or thread; V=1 shows commands;'
	@echo 'MPI=1 of all, deps, install and check: training by several processes, man nnclr-mpi;'
	@echo 'CUDA=1 of all, install and check: the engine for NVIDIA GPUs, with the CUDA 13 toolkit and cuDNN 9 in CUDA_HOME;'
	@echo 'PREFIX and DESTDIR of install; FUZZ_SECONDS and FUZZ_TARGETS of fuzz; BENCH_ROUNDS and others of bench*,'
	@echo 'which tests/bench/README.md lists.'

examples: $(EXAMPLES:%=$(OUT)/%)

deps: ## install what building needs, by Debian package name
	@tests/deps build $(if $(MPI),mpi)

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
             $(foreach p,$(PLUGIN),$p:lib/nnclr/$(notdir $p)) \
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
	@for pair in $(INSTALLED) :lib/nnclr/nnclr-mpi.so :lib/nnclr/nnclr-cuda.so; do rm -f "$(DESTDIR)$(PREFIX)/$${pair#*:}"; done
	@for folder in share/doc/nnclr libexec/nnclr lib/nnclr; do \
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

# ---- the house ----

clean: ## remove build/
	rm -rf $(BUILD)

format: ## clang-format over every C file
	clang-format -i $(wildcard lib/*/*.[ch] lib/*/*/*.[ch] lib/*/*/*/*.[ch] cmd/*.[ch] tests/*/*.[ch] examples/*.c examples/*/*.[ch])

include tests/Makefile tests/bench/Makefile

OBJECTS := $(LIB_OBJ) $(CMD_OBJ) $(PLUGIN_OBJ:%=$(OUT)/%.o) $(CUDA_OBJ:%=$(OUT)/%.o) $(NARROW:%=$(OUT)/%.o) $(PROGRAMS:%=$(OUT)/cmd/%.o) $(EXAMPLES:%=$(OUT)/%.o) \
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
