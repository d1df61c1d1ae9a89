/* A resolver that a test commands: preloaded, its getaddrinfo(3) answers by the file that
 * $RESOLVER_SHIM_FILE names and the test rewrites. A line is a name and what is said of it:
 *
 *   users.test 127.0.0.1 127.0.0.2     these addresses
 *   users.test fail                    the name is not known
 *   users.test empty                   success, without any address
 *   users.test hang                    no return before the line has changed
 *
 * Names without a line are the real resolver's. */
#include <dlfcn.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef int GetAddrInfo(const char *node, const char *service, const struct addrinfo *hints,
                        struct addrinfo **found);

static GetAddrInfo *real_getaddrinfo(void)
{
    GetAddrInfo *function;
    void *symbol = dlsym(RTLD_NEXT, "getaddrinfo");
    memcpy(&function, &symbol, sizeof function);
    return function;
}

/* What the file says of the name: false where it has no line. */
static bool read_words(const char *name, char *words, size_t size)
{
    const char *path = getenv("RESOLVER_SHIM_FILE");
    FILE *file = path != NULL ? fopen(path, "re") : NULL;
    if (file == NULL)
        return false;
    char line[1024];
    size_t len = strlen(name);
    bool found = false;
    while (!found && fgets(line, sizeof line, file) != NULL)
        found = strncmp(line, name, len) == 0 && line[len] == ' ';
    fclose(file);
    if (found)
        snprintf(words, size, "%.*s", (int)strcspn(line + len + 1, "\n"), line + len + 1);
    return found;
}

static void hang(const char *name, char *words, size_t size)
{
    fprintf(stderr, "resolver-shim: %s hangs\n", name);
    const struct timespec pause = {.tv_nsec = 1000000};
    while (read_words(name, words, size) && strcmp(words, "hang") == 0)
        nanosleep(&pause, NULL);
}

static int find_all(char *words, const char *service, const struct addrinfo *hints,
                    struct addrinfo **found)
{
    struct addrinfo **end = found;
    *found = NULL;
    for (char *word, *rest = words; (word = strtok_r(rest, " ", &rest)) != NULL;) {
        if (real_getaddrinfo()(word, service, hints, end) != 0)
            abort();
        while (*end != NULL)
            end = &(*end)->ai_next;
    }
    return 0;
}

/* The library's names for the parameters are reserved.
 * NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
    char words[1024];
    if (node == NULL || !read_words(node, words, sizeof words))
        return real_getaddrinfo()(node, service, hints, found);
    if (strcmp(words, "hang") == 0)
        hang(node, words, sizeof words);
    if (strcmp(words, "fail") == 0)
        return EAI_NONAME;
    if (strcmp(words, "empty") == 0)
        words[0] = '\0';
    return find_all(words, service, hints, found);
}
