# Where the examples find the programs, and where they work: in the repository both are the folder
# build/; installed, they take the programs installed with them, and work in the current folder. HERE
# is the folder of the Makefile that includes this.
REPOSITORY := $(wildcard $(HERE)/../../cmd)
BIN    ?= $(abspath $(HERE)/../../$(if $(REPOSITORY),build,../../../bin))
WORK   := $(if $(REPOSITORY),$(abspath $(HERE)/../../build),$(CURDIR))
# build/nnclr-* are links into the folder of one set of flags, where this program is too.
SHAPES ?= $(firstword $(wildcard $(dir $(realpath $(BIN)/nnclr-prep))examples/shapes/make-shapes \
                                 $(BIN)/../libexec/nnclr/make-shapes))
