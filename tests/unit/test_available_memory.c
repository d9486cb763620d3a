#include "base/available_memory.h"

#include <unistd.h>

#include "base/memory.h"
#include "tests/unit/check.h"
#include "tests/unit/scratch.h"

static nnclr_error e; /* of the call that is checked */

static void put(const char *name, const char *text) {
    char command[700];
    snprintf(command, sizeof command, "mkdir -p \"$(dirname '%s')\"", name);
    CHECK(scratch_run(command));
    scratch_write(scratch(name), text, strlen(text));
}

static size_t available(const char *membership, const char *root) {
    char at[400];
    snprintf(at, sizeof at, "%s", scratch(root));
    return nnclr_memory_available_in_cgroups(scratch(membership), at);
}

/* The least of a group and those above it; pages of files can be dropped. */
TEST(limits_of_version_2) {
    put("two/member", "0::/a/b\n");
    CHECK(available("two/member", "two/fs") == SIZE_MAX); /* no such files */
    put("two/fs/a/b/memory.max", "max\n");
    put("two/fs/a/b/memory.current", "7000\n");
    CHECK(available("two/member", "two/fs") == SIZE_MAX);
    put("two/fs/a/b/memory.max", "10000\n");
    CHECK(available("two/member", "two/fs") == 3000);
    put("two/fs/a/b/memory.stat", "anon 1\ninactive_file 1500\nactive_file 500\ntotal_file 9\n");
    CHECK(available("two/member", "two/fs") == 5000);
    put("two/fs/a/memory.max", "20000\n");
    put("two/fs/a/memory.current", "19000\n");
    CHECK(available("two/member", "two/fs") == 1000);
    put("two/fs/memory.max", "9000\n"); /* as in a container, whose root is a group */
    put("two/fs/memory.current", "9001\n");
    CHECK(available("two/member", "two/fs") == 0);
}

TEST(limits_of_version_1) {
    put("one/member", "9:memory:/jobs/7\n8:cpu,memoryless:/other\n0::/\n");
    put("one/fs/memory/jobs/7/memory.limit_in_bytes", "5000\n");
    put("one/fs/memory/jobs/7/memory.usage_in_bytes", "4000\n");
    put("one/fs/memory/jobs/7/memory.stat", "inactive_file 1\ntotal_inactive_file 300\n");
    put("one/fs/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("one/fs/memory/memory.usage_in_bytes", "123456\n");
    CHECK(available("one/member", "one/fs") == 1300);
    put("one/member", "9:cpuset,memory:/jobs/8\n");
    CHECK(available("one/member", "one/fs") == 9223372036854771712u - 123456);
    CHECK(available("one/none", "one/fs") == SIZE_MAX);
}

/* What cannot be had is refused with the numbers, before the kernel kills whoever touches it. */
TEST(more_than_there_is) {
    size_t bytes = nnclr_memory_available();
    if (bytes == SIZE_MAX)
        SKIP("the system does not say how much memory it has");
    CHECK(bytes > 1 << 20 && nnclr_memory_held() > 1 << 18 && nnclr_memory_held() < 1 << 30);
    CHECK_FAILS(nnclr_block_alloc(bytes + ((size_t)4 << 30), &e), "MiB in use already");
    CHECK(e.code == NNCLR_ERROR_MEMORY);
}

int main(void) {
    return check_all();
}
