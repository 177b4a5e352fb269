// Preloaded into each Kamailio that has TLS: after a fork, the child has a state of its own in OpenSSL (docs/adr/0099).
//
// OpenSSL keeps what belongs to a thread (list of errors, random generators, its handlers) behind keys of pthread_key_create(3), and
// Kamailio has it in shared memory. What was made before the fork is then one object that all processes write to at once.
// A child forgets it here, and OpenSSL makes another at the first use. Nothing is freed: the object is still the parent's.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define EXPORTED __attribute__((visibility("default")))

/** Which keys are OpenSSL's. One that was deleted may be given to another library. */
static bool is_openssls[PTHREAD_KEYS_MAX];

static bool is_in_openssl(const void *code) {
  Dl_info object;
  if (dladdr(code, &object) == 0 || object.dli_fname == NULL) return false;
  return strstr(object.dli_fname, "libcrypto.so") != NULL || strstr(object.dli_fname, "libssl.so") != NULL;
}

EXPORTED int pthread_key_create(pthread_key_t *key, void (*destructor)(void *)) {
  static int (*create)(pthread_key_t *, void (*)(void *));
  if (create == NULL) *(void **)&create = dlsym(RTLD_NEXT, "pthread_key_create");
  int error = create(key, destructor);
  if (error == 0 && *key < PTHREAD_KEYS_MAX) is_openssls[*key] = is_in_openssl(__builtin_return_address(0));
  return error;
}

static void forget(void) {
  for (pthread_key_t key = 0; key < PTHREAD_KEYS_MAX; key++)
    if (is_openssls[key]) pthread_setspecific(key, NULL);
}

__attribute__((constructor)) static void forget_after_fork(void) { pthread_atfork(NULL, NULL, forget); }
