#include "engine/blas.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/memory.h"

/* Bytes of address space that a product works in; the pages are touched as they are needed. */
static const size_t buffer_bytes = (size_t)128 << 20;

__typeof__(cblas_sgemm) *nnclr_sgemm;
__typeof__(cblas_dgemm) *nnclr_dgemm;
nnclr_dsyev_function *nnclr_dsyev;

/* What the process has of it. OpenBLAS keeps its buffers to the end of the process, and so does
 * this. */
static void *library;
static int reserved; /* buffers */
static void *(*take_buffer)(int procedure);
static void (*give_buffer)(void *buffer);

static bool find(const char *name, void *function, nnclr_error *e) {
    void *address = dlsym(library, name);
    if (!address)
        return nnclr_fail(e, NNCLR_ERROR_IO, "OpenBLAS has no function %s", name);
    memcpy(function, &address, sizeof address); /* ISO C converts no object pointer to a function */
    return true;
}

static bool load(nnclr_error *e) {
    static const char *const names[] = {"libopenblas.so.0", "libopenblas.so.3", "libopenblas.so"};
    void (*set_threads)(int) = NULL;
    /* The parallelism is ours: one product for each worker. Threads of its own would be started
     * before it could be told. */
    if (setenv("OPENBLAS_NUM_THREADS", "1", 1) != 0)
        return nnclr_fail_errno(e, "OpenBLAS cannot be told to start no threads");
    char why[300] = "";
    for (size_t i = 0; !library && i < sizeof names / sizeof *names; i++) {
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
        const char *reason = library || why[0] ? NULL : dlerror();
        if (reason)
            strncat(why, reason, sizeof why - 1);
    }
    if (!library)
        return nnclr_fail(e, NNCLR_ERROR_IO, "OpenBLAS cannot be loaded: %s", why);
    if (!find("openblas_set_num_threads", &set_threads, e) ||
        !find("blas_memory_alloc", &take_buffer, e) || !find("blas_memory_free", &give_buffer, e) ||
        !find("dsyev_", &nnclr_dsyev, e) || !find("cblas_sgemm", &nnclr_sgemm, e) ||
        !find("cblas_dgemm", &nnclr_dgemm, e))
        return false;
    set_threads(1);
    return true;
}

/* Whether the system would give so many buffers now. Nobody else allocates while an engine opens.
 */
static bool there_is_room(int buffers) {
    size_t bytes;
    if (!nnclr_size_mul(buffer_bytes, (size_t)buffers, &bytes))
        return false;
    void *probe = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (probe == MAP_FAILED)
        return false;
    munmap(probe, bytes);
    return true;
}

static bool reserve(int threads, nnclr_error *e) {
    if (threads <= reserved)
        return true;
    if (!there_is_room(threads - reserved))
        return nnclr_fail(e, NNCLR_ERROR_MEMORY,
                          "out of memory: products of matrices need %zu MiB of address space for "
                          "each of %d thread%s a larger ulimit -v",
                          buffer_bytes >> 20, threads,
                          threads > 1 ? "s: give a smaller -j, or" : ": give");
    /* All at once, so that no two are the same; those that it has come first. */
    void **buffers = nnclr_alloc((size_t)threads, sizeof *buffers, e);
    if (!buffers)
        return false;
    for (int i = 0; i < threads; i++)
        buffers[i] = take_buffer(0);
    for (int i = 0; i < threads; i++)
        give_buffer(buffers[i]);
    nnclr_free(buffers);
    reserved = threads;
    return true;
}

bool nnclr_blas_open(int threads, nnclr_error *e) {
    return (nnclr_dgemm || load(e)) && reserve(threads, e);
}
