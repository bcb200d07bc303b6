#define _GNU_SOURCE
/* Preloaded into a process (LD_PRELOAD), counts the bytes of live aligned blocks of 64 KiB or more, of all
 * threads: torch takes the memory of tensors on a CPU this way, oneDNN its scratch space. What Python and
 * gloo take by malloc is not counted.
 */
#include <dlfcn.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>

#define SMALLEST 65536
#define PLACES (1 << 20)
#define GONE ((void *)1)

static void *_Atomic blocks[PLACES]; /* an open hash table; GONE where one has been taken out */
static atomic_long live, peak;
static int (*allocate)(void **, size_t, size_t);
static void (*release)(void *);

static size_t place_of(void *block) { return ((size_t)block >> 6) * 0x9E3779B97F4A7C15u >> 44; }

static int put(size_t place, void *expected, void *block) {
    return atomic_compare_exchange_strong(&blocks[place], &expected, block);
}

int posix_memalign(void **block, size_t alignment, size_t size) {
    if (!allocate) allocate = dlsym(RTLD_NEXT, "posix_memalign");
    int status = allocate(block, alignment, size);
    if (status || size < SMALLEST) return status;
    size_t place = place_of(*block);
    while (!put(place, NULL, *block) && !put(place, GONE, *block)) place = (place + 1) % PLACES;
    long bytes = malloc_usable_size(*block), now = atomic_fetch_add(&live, bytes) + bytes;
    long before = atomic_load(&peak);
    while (now > before && !atomic_compare_exchange_weak(&peak, &before, now)) {}
    return 0;
}

void free(void *block) {
    if (!release) release = dlsym(RTLD_NEXT, "free");
    if (block && malloc_usable_size(block) >= SMALLEST) {
        void *found;
        for (size_t place = place_of(block); (found = atomic_load(&blocks[place])); place = (place + 1) % PLACES) {
            if (found != block) continue;
            atomic_fetch_sub(&live, malloc_usable_size(block));
            atomic_store(&blocks[place], GONE);
            break;
        }
    }
    release(block);
}

long live_bytes(void) { return atomic_load(&live); }
long peak_bytes(void) { return atomic_load(&peak); }
void reset_peak(void) { atomic_store(&peak, atomic_load(&live)); }
