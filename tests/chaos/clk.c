/* Moves a program's wall clock by the microseconds that stand in the file CLK_FILE, read anew at every call.
   Compiled when a run begins: cc -shared -fPIC -O2 -o clk.so clk.c; loaded with LD_PRELOAD. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long long nothing;
static volatile long long *pushed_by;

static long long push(void) {
  if (!pushed_by) {
    const char *path = getenv("CLK_FILE");
    int file = path ? open(path, O_RDONLY) : -1;
    void *map = file < 0 ? MAP_FAILED : mmap(0, 8, PROT_READ, MAP_SHARED, file, 0);
    pushed_by = map == MAP_FAILED ? &nothing : map;
    if (file >= 0) close(file);
  }
  return *pushed_by;
}

static void wall(struct timespec *at) {
  syscall(SYS_clock_gettime, CLOCK_REALTIME, at);
  long long micros = at->tv_sec * 1000000LL + at->tv_nsec / 1000 + push();
  at->tv_sec = micros / 1000000;
  at->tv_nsec = micros % 1000000 * 1000;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
  struct timespec exact;
  (void)zone;
  wall(&exact);
  at->tv_sec = exact.tv_sec;
  at->tv_usec = exact.tv_nsec / 1000;
  return 0;
}

int clock_gettime(clockid_t clock, struct timespec *at) {
  if (clock != CLOCK_REALTIME) return syscall(SYS_clock_gettime, clock, at);
  wall(at);
  return 0;
}

time_t time(time_t *at) {
  struct timespec exact;
  wall(&exact);
  if (at) *at = exact.tv_sec;
  return exact.tv_sec;
}
