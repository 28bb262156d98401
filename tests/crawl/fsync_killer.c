/* Preloaded into a daemon: kills it with SIGKILL at the n-th fsync or fdatasync of a file whose name ends in -wal.
 *
 *   KILL_AT    which one, from 1
 *   KILL_WHEN  "before": the disk has nothing of it yet; "after": it has all, but nobody was told; "never": the disk
 *              hangs instead, and KILL_AT only says when
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int of_a_log(int descriptor)
{
    char link[64], name[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, name, sizeof name - 1);
    return length > 4 && memcmp(name + length - 4, "-wal", 4) == 0;
}

static int killing(const char *real_name, int descriptor)
{
    static int seen;
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, real_name);
    const char *at = getenv("KILL_AT"), *when = getenv("KILL_WHEN");
    int now = at && when && of_a_log(descriptor) && ++seen == atoi(at);
    if (now && strcmp(when, "before") == 0)
        kill(getpid(), SIGKILL);
    while (now && strcmp(when, "never") == 0)
        pause();
    int result = real(descriptor);
    if (now)
        kill(getpid(), SIGKILL);
    return result;
}

int fsync(int descriptor) { return killing("fsync", descriptor); }
int fdatasync(int descriptor) { return killing("fdatasync", descriptor); }
