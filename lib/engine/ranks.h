/* Whether MPI started this process as one of several ranks, and how it meets the others. The
 * communicator of MPI is in a library of its own, nnclr-mpi.so, which is loaded only then. */
#ifndef NNCLR_ENGINE_RANKS_H
#define NNCLR_ENGINE_RANKS_H

#include "engine/communicator.h"

typedef struct nnclr_launch {
    int rank, ranks; /* 0 of 1: MPI did not start it, or only this one */
} nnclr_launch;

/* What the environment says: that of mpirun, or of Slurm's srun with PMIx or PMI-2. */
nnclr_launch nnclr_launch_read(void);

/* The communicator of the ranks that were launched; of one, it is itself. Waits for the others. The
 * library is looked for next to the program's file, and in ../lib/nnclr from there. */
bool nnclr_ranks_connect(nnclr_communicator *c, const nnclr_launch *launch, nnclr_error *e);

/* What the library has under the name nnclr_mpi. */
typedef struct nnclr_ranks_plugin {
    size_t size; /* of the communicator it was compiled with */
    bool (*open)(nnclr_communicator *c, nnclr_error *e);
} nnclr_ranks_plugin;

#endif
