/* Runs a fuzz target over the files of a directory: the corpus, as an ordinary test. */
#include <glib.h>
#include <stdint.h>
#include <stdio.h>

#include "input.h"

static int replay(const char *directory, const char *name)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    g_autofree char *text = NULL;
    gsize len = 0;
    g_autoptr(GError) error = NULL;
    if (!g_file_get_contents(path, &text, &len, &error)) {
        fprintf(stderr, "%s\n", error->message);
        return 1;
    }
    printf("%s\n", name);
    fflush(stdout);                                  /* the last one is the one that crashed */
    g_autofree uint8_t *data = g_memdup2(text, len); /* without g_file_get_contents()'s NUL */
    return LLVMFuzzerTestOneInput(data, len);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 2;
    }
    g_autoptr(GError) error = NULL;
    GDir *directory = g_dir_open(argv[1], 0, &error);
    if (directory == NULL) {
        fprintf(stderr, "%s\n", error->message);
        return 1;
    }
    int status = 0;
    unsigned n = 0;
    const char *name;
    while ((name = g_dir_read_name(directory)) != NULL) {
        status |= replay(argv[1], name);
        n++;
    }
    g_dir_close(directory);
    return n > 0 ? status : 1;
}
