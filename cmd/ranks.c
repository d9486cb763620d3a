/* Several processes that MPI started as one program: they meet, share the CPUs, and end as one, of
 * whom rank 0 speaks, or the one that has a fault that the others do not know of. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/threads.h"
#include "cmd/cli_internal.h"
#include "engine/ranks.h"

enum {
    SPEAK_ALONE_AFTER = 5, /* seconds */
    EACH_RANK_LATER = 500, /* milliseconds, */
    LATEST = 2000          /* at most */
};

/* ---- meeting ---- */

/* Where a rank runs. */
typedef struct place {
    char host[64];
    unsigned char cpus[NNCLR_CPU_MASK];
    int32_t online; /* CPUs of that machine */
} place;

static bool same_cpus(const place *a, const place *b) {
    return strcmp(a->host, b->host) == 0 && memcmp(a->cpus, b->cpus, sizeof a->cpus) == 0;
}

static int count_cpus(const unsigned char *mask) {
    int count = 0;
    for (size_t i = 0; i < NNCLR_CPU_MASK; i++)
        count += __builtin_popcount(mask[i]);
    return count;
}

/* Binding every rank to one core is what mpirun does with two of them unless it is told otherwise.
 */
static void tell_idle_cpus(nnclr_cli *cli, const place *places, int ranks) {
    unsigned char used[NNCLR_CPU_MASK] = {0};
    for (int i = 0; i < ranks; i++)
        for (size_t j = 0; j < sizeof used && strcmp(places[i].host, places[0].host) == 0; j++)
            used[j] |= places[i].cpus[j];
    if (count_cpus(used) < places[0].online)
        nnclr_cli_note(cli,
                       "the ranks on %s may use %d of its %d CPUs; mpirun --bind-to none gives "
                       "them all",
                       places[0].host, count_cpus(used), places[0].online);
}

static void share_cpus(const place *places, int rank, int ranks) {
    int index = 0, count = 0;
    for (int i = 0; i < ranks; i++)
        if (same_cpus(&places[i], &places[rank])) {
            index += i < rank;
            count++;
        }
    nnclr_cpu_share(index, count);
}

static bool meet(nnclr_cli *cli, nnclr_error *e) {
    nnclr_communicator *c = &cli->ranks;
    place own = {.online = (int32_t)sysconf(_SC_NPROCESSORS_ONLN)};
    place *places = nnclr_alloc((size_t)c->ranks, sizeof *places, e);
    cli->hosts = nnclr_alloc((size_t)c->ranks, sizeof *cli->hosts, e);
    if (!places || !cli->hosts)
        return false;
    if (gethostname(own.host, sizeof own.host - 1) != 0)
        strcpy(own.host, "unknown");
    nnclr_cpu_mask(own.cpus);
    nnclr_gather_bytes(c, &own, sizeof own, places);
    if (!nnclr_communicator_sync(c, e))
        return false;
    for (int i = 0; i < c->ranks; i++)
        cli->hosts[i] = places[i].host;
    share_cpus(places, c->rank, c->ranks);
    tell_idle_cpus(cli, places, c->ranks);
    return true;
}

void nnclr_cli_read_launch(nnclr_cli *cli) {
    cli->launch = nnclr_launch_read();
    cli->silent = cli->launch.rank > 0;
    cli->ranks = nnclr_communicator_self();
}

void nnclr_cli_connect(nnclr_cli *cli) {
    nnclr_error e = NNCLR_NO_ERROR;
    if (cli->launch.ranks == 1)
        return;
    if (!cli->program->ranks)
        nnclr_cli_usage(cli, "MPI started it %d times, and it works alone: start it without mpirun",
                        cli->launch.ranks);
    if (!nnclr_ranks_connect(&cli->ranks, &cli->launch, &e))
        nnclr_cli_die(cli, &e);
    cli->silent = cli->ranks.rank > 0;
    if (cli->silent && !freopen("/dev/null", "w", stdout)) {
        nnclr_fail_errno(&e, "/dev/null");
        nnclr_cli_die(cli, &e);
    }
    if (cli->ranks.ranks == 1)
        return;
    cli->preparing = true;
    if (!meet(cli, &e))
        nnclr_cli_die(cli, &e);
}

bool nnclr_cli_prepared(nnclr_cli *cli, nnclr_error *e) {
    const bool ok = nnclr_agree(&cli->ranks, NULL, e);
    cli->preparing = false;
    return ok;
}

/* ---- ending ---- */

/* If a lower rank failed at the same time, that one speaks and ends the others, which MPI does by
 * SIGTERM. Whether none did. */
static bool is_first(int rank) {
    const int64_t wait = nnclr_min(rank * (int64_t)EACH_RANK_LATER, LATEST);
    const struct timespec pause = {wait / 1000, wait % 1000 * 1000000};
    nnclr_cli_stop = 0;
    return nanosleep(&pause, NULL) == 0 || nnclr_cli_stop == 0;
}

void nnclr_cli_settle(nnclr_cli *cli, nnclr_error *e) {
    nnclr_communicator *c = &cli->ranks;
    if (c->ranks > 1) {
        if (cli->preparing && !c->agreed)
            nnclr_agree(c, NULL, e);
        cli->preparing = false;
        if (c->agreed)
            return;
        nnclr_fail_at(e, "rank %d", c->rank);
        cli->silent = !is_first(c->rank);
    } else if (cli->silent) {     /* not connected */
        sleep(SPEAK_ALONE_AFTER); /* if rank 0 has the same fault, mpirun ends this one meanwhile */
        nnclr_fail_at(e, "rank %d", cli->launch.rank);
        cli->silent = false;
    }
}

void nnclr_cli_exit(nnclr_cli *cli, int code, bool failed) {
    nnclr_communicator *c = &cli->ranks;
    if (failed && c->ranks > 1 && !c->agreed)
        c->table->abort(c, code);
    nnclr_communicator_close(c);
    exit(code);
}
