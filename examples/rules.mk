# What the examples share: from shards to accuracy. A run is a name; its options are what the
# including Makefile's `options` function makes of it, and TRAIN and TEST are its shards.
#
#   OUT/NAME.run/DONE              the training run, which goes on where it was interrupted
#   OUT/NAME-train.safetensors.zst embeddings of TRAIN
#   OUT/NAME-test.safetensors.zst  embeddings of TEST
#   OUT/NAME.accuracy              how often they tell the class, as nnclr-lineval prints it
#
# The names untrained and pixels stand for the baselines; UNTRAINED is the run whose network at step
# 0 is the first of them.

MAKEFLAGS  += --no-builtin-rules
CHECKPOINT := checkpoint.safetensors.zst
LINEVAL    ?= --methods knn -k 20
SIZE       ?= 32

ifeq ($(wildcard $(BIN)/nnclr-prep),)
$(error There are no programs in $(BIN): run make there first, or give BIN=FOLDER)
endif

.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:

# $(call remember,NAME,TEXT): OUT/NAME.options holds the text, and is new when the text has changed.
same     = $(if $(subst |$1|,,|$2|),,same)
remember = $(if $(call same,$(strip $(file <$(OUT)/$1.options)),$(strip $2)),, \
             $(file >$(OUT)/$1.options,$(strip $2)))
$(shell mkdir -p '$(OUT)')

# Go on with a training run that has begun with these options and data, or begin anew.
$(OUT)/%.run/DONE: $(OUT)/%.options $(TRAIN)
	if [ ! -e $@ ] && [ $(@D)/run.json -nt $(OUT)/$*.options ] && [ $(@D)/run.json -nt $(TRAIN) ]; then \
	    $(BIN)/nnclr-pretrain $(QUIET) --resume -o $(@D) $(TRAIN); \
	else \
	    $(BIN)/nnclr-pretrain $(QUIET) $(call options,$*) --force -o $(@D) $(TRAIN); \
	fi

shard = $(if $(filter train,$1),$(TRAIN),$(TEST))

$(OUT)/%-train.safetensors.zst: $(OUT)/%.run/DONE
	$(BIN)/nnclr-embed -q -m $(<D)/$(CHECKPOINT) -o $@ $(TRAIN)
$(OUT)/%-test.safetensors.zst: $(OUT)/%.run/DONE $(TEST)
	$(BIN)/nnclr-embed -q -m $(<D)/$(CHECKPOINT) -o $@ $(TEST)
$(OUT)/untrained-%.safetensors.zst: $(OUT)/$(UNTRAINED).run/DONE $(TEST)
	$(BIN)/nnclr-embed -q -m $(<D)/$(CHECKPOINT) --untrained -o $@ $(call shard,$*)
$(OUT)/pixels-%.safetensors.zst: $(TRAIN) $(TEST)
	$(BIN)/nnclr-embed -q --pixels $(SIZE) -o $@ $(call shard,$*)

$(OUT)/%.accuracy: $(OUT)/%-train.safetensors.zst $(OUT)/%-test.safetensors.zst
	$(BIN)/nnclr-lineval -q $(LINEVAL) $^ >$@
