/* Preloaded into a broker: counts the bytes that memcpy and memmove copy, in runs of a kilobyte and more.
 *
 * Smaller copies are names, headers and numbers; what is looked for is a payload that is copied once more. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

#define SMALL 1024

static void *(*libc_memmove)(void *, const void *, size_t);
static size_t total;

size_t copied_bytes(void) { return __atomic_load_n(&total, __ATOMIC_RELAXED); }

static void *copy(void *to, const void *from, size_t size) {
    if (!libc_memmove) libc_memmove = (void *(*)(void *, const void *, size_t))dlsym(RTLD_NEXT, "memmove");
    if (size >= SMALL) __atomic_fetch_add(&total, size, __ATOMIC_RELAXED);
    return libc_memmove(to, from, size);
}

void *memmove(void *to, const void *from, size_t size) { return copy(to, from, size); }

void *memcpy(void *restrict to, const void *restrict from, size_t size) { return copy(to, from, size); }

void *__memmove_chk(void *to, const void *from, size_t size, size_t room) {
    (void)room;
    return copy(to, from, size);
}

void *__memcpy_chk(void *restrict to, const void *restrict from, size_t size, size_t room) {
    (void)room;
    return copy(to, from, size);
}
