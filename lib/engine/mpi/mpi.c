/* The ranks of MPI as a communicator: a library of its own, which lib/engine/ranks.c loads, so that
 * no program depends on MPI. Only here is mpi.h included. */
#include <mpi.h>

#include "engine/ranks.h"

static MPI_Comm all = MPI_COMM_NULL; /* the ranks, apart from whoever else uses MPI */

static bool worked(int code, const char *what, nnclr_error *e) {
    char why[MPI_MAX_ERROR_STRING] = "";
    int size = 0;
    if (code == MPI_SUCCESS)
        return true;
    if (MPI_Error_string(code, why, &size) != MPI_SUCCESS)
        size = 0;
    return nnclr_fail(e, NNCLR_ERROR_IO, "%s: MPI: %.*s", what, size, why);
}

/* ---- primitives ---- */

static bool gather(nnclr_communicator *c, const void *from, size_t bytes, void *to,
                   nnclr_error *e) {
    (void)c;
    const int count = (int)bytes; /* NNCLR_MESSAGE_MOST bounds it */
    return worked(MPI_Allgather(from, count, MPI_BYTE, to, count, MPI_BYTE, all),
                  "gathering from the other ranks", e);
}

static bool exchange(nnclr_communicator *c, const void *from, size_t bytes, void *to,
                     nnclr_error *e) {
    (void)c;
    const int count = (int)bytes;
    return worked(MPI_Alltoall(from, count, MPI_BYTE, to, count, MPI_BYTE, all),
                  "exchanging with the other ranks", e);
}

static void end_all(nnclr_communicator *c, int code) {
    (void)c;
    MPI_Abort(MPI_COMM_WORLD, code);
}

/* Nothing is said of a failure: the work is done, and an exit code that differs from the others'
 * would be said by whoever started the ranks. */
static void leave(nnclr_communicator *c) {
    (void)c;
    MPI_Comm_free(&all);
    MPI_Finalize();
}

static const nnclr_communicator_table table = {
    .name = "mpi",
    .gather = gather,
    .exchange = exchange,
    .abort = end_all,
    .close = leave,
};

/* ---- the start ---- */

/* Rank and number of ranks on this machine. */
static bool find_local(nnclr_communicator *c, nnclr_error *e) {
    MPI_Comm local;
    if (!worked(MPI_Comm_split_type(all, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &local),
                "finding the ranks of this machine", e))
        return false;
    MPI_Comm_rank(local, &c->local_rank);
    MPI_Comm_size(local, &c->local_ranks);
    MPI_Comm_free(&local);
    return true;
}

/* Only the thread that opens it will call MPI. */
static bool open(nnclr_communicator *c, nnclr_error *e) {
    int level;
    if (!worked(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level), "starting", e))
        return false;
    if (level < MPI_THREAD_FUNNELED)
        return nnclr_fail(e, NNCLR_ERROR_MISSING, "this MPI was built without support for threads");
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    if (!worked(MPI_Comm_dup(MPI_COMM_WORLD, &all), "starting", e))
        return false;
    *c = (nnclr_communicator){.table = &table};
    MPI_Comm_rank(all, &c->rank);
    MPI_Comm_size(all, &c->ranks);
    return find_local(c, e);
}

__attribute__((visibility("default"))) const nnclr_ranks_plugin nnclr_mpi = {
    .size = sizeof(nnclr_communicator),
    .open = open,
};
