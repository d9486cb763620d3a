# NNCLR in C. `make` builds, `make check` tests, `make demo` shows it at work, `make deps` installs
# what the build needs. Variables: CC, CFLAGS, SANITIZE=address,undefined|thread, PREFIX, DESTDIR.

CC       ?= cc
CFLAGS   ?= -O2 -g
SANITIZE ?=
PREFIX   ?= /usr/local

# Each set of flags has its own folder, so that switching does not rebuild.
FLAVOUR  := $(notdir $(CC))$(if $(SANITIZE),-$(subst $(comma),-,$(SANITIZE)))
comma    := ,
BUILD    := build
OUT      := $(BUILD)/$(subst $(comma),-,$(FLAVOUR))

PACKAGES := libjpeg libpng zlib openblas libzstd jansson libarchive
WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wvla -Wformat=2
STRICT   := -Wconversion
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -Ilib -I. $(WARN) -ffp-contract=off -fno-math-errno -pthread \
             $(shell pkg-config --cflags $(PACKAGES)) $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer) \
             -MMD -MP $(CFLAGS)
ALL_LDFLAGS = -pthread $(if $(SANITIZE),-fsanitize=$(SANITIZE)) $(LDFLAGS)
LIBS     = $(shell pkg-config --libs $(PACKAGES)) -lm

LIB_SRC  := $(sort $(filter-out lib/engine/cpu/%,$(wildcard lib/*/*.c)))
CPU_SRC  := $(sort $(wildcard lib/engine/cpu/*.c))
LIB_OBJ  := $(LIB_SRC:%.c=$(OUT)/%.o) $(CPU_SRC:%.c=$(OUT)/%-f32.o) $(CPU_SRC:%.c=$(OUT)/%-f64.o)
LIB      := $(OUT)/libnnclr.a
PROGRAMS := $(notdir $(basename $(wildcard cmd/nnclr-*.c)))
UNIT     := $(notdir $(basename $(wildcard tests/unit/test_*.c)))
EXAMPLES := $(basename $(wildcard examples/*/*.c))

.PHONY: all tests check deps clean format floors
.SECONDARY:

all: $(PROGRAMS:%=$(OUT)/%) $(PROGRAMS:%=$(BUILD)/%)

$(BUILD)/nnclr-%: $(OUT)/nnclr-%
	@ln -sf $(<:$(BUILD)/%=%) $@

$(OUT)/nnclr-%: $(OUT)/cmd/nnclr-%.o $(OUT)/cmd/cli.o $(LIB)
	$(CC) $(ALL_LDFLAGS) -o $@ $(OUT)/cmd/nnclr-$*.o $(OUT)/cmd/cli.o $(LIB) $(LIBS)

$(OUT)/test_%: $(OUT)/tests/unit/test_%.o $(LIB)
	$(CC) $(ALL_LDFLAGS) -o $@ $< $(LIB) $(LIBS)

$(OUT)/examples/%: $(OUT)/examples/%.o $(LIB)
	$(CC) $(ALL_LDFLAGS) -o $@ $< $(LIB) $(LIBS)

$(LIB): $(LIB_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

# The reference engine, once for float and once for double.
$(OUT)/lib/engine/cpu/%-f32.o: lib/engine/cpu/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -O3 -DNNCLR_REAL_BITS=32 -c -o $@ $<
$(OUT)/lib/engine/cpu/%-f64.o: lib/engine/cpu/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -O3 -DNNCLR_REAL_BITS=64 -c -o $@ $<

$(OUT)/lib/base/%.o $(OUT)/lib/io/%.o $(OUT)/lib/image/%.o: WARN += $(STRICT)
$(OUT)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

tests: $(UNIT:%=$(OUT)/%)

clean:
	rm -rf $(BUILD)

format:
	clang-format -i $(wildcard lib/*/*.[ch] lib/*/*/*.[ch] cmd/*.[ch] tests/*/*.[ch] examples/*/*.[ch])

-include $(LIB_OBJ:.o=.d) $(PROGRAMS:%=$(OUT)/cmd/%.d) $(UNIT:%=$(OUT)/tests/unit/%.d)
