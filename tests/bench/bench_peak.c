/* Runs a command, and writes the peak of its resident memory in MiB into a file.
 *
 *     bench_peak FILE COMMAND [ARGUMENT...]
 *
 * ends with the command's status, or 1. */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    struct rusage usage;
    int status = 0;
    if (argc < 3) {
        fprintf(stderr, "usage: bench_peak FILE COMMAND [ARGUMENT...]\n");
        return 2;
    }
    pid_t child = fork();
    if (child == 0) {
        execvp(argv[2], argv + 2);
        perror(argv[2]);
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, &usage) != child) {
        perror("bench_peak");
        return 1;
    }
    FILE *file = fopen(argv[1], "w");
    if (!file || fprintf(file, "%ld\n", usage.ru_maxrss >> 10) < 0 || fclose(file) != 0) {
        perror(argv[1]);
        return 1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
