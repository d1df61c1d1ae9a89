#include <errno.h>
#include <stdio.h>

#include "command.h"

enum {
    EXIT_NO = 1, /* the daemon has said no, or cannot be reached */
    EXIT_USAGE = 2,
};

static int complain(const GError *error, int status)
{
    fprintf(stderr, "thrift-batchctl: %s\n", error->message);
    return status;
}

static bool output_is_written(GError **error)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return true;
    int code = errno;
    g_set_error(error, G_FILE_ERROR, (gint)g_file_error_from_errno(code),
                "cannot write the output: %s", g_strerror(code));
    return false;
}

static int run(const Options *options)
{
    g_autoptr(GError) error = NULL;
    const Command *command = command_of(options, &error);
    if (command == NULL)
        return complain(error, EXIT_USAGE);
    Remote *remote = remote_open(options->address, options->timeout, &error);
    bool ok = remote != NULL && command->run(remote, options, options->arguments + 1, &error) &&
              output_is_written(&error);
    remote_close(remote);
    return ok ? 0 : complain(error, EXIT_NO);
}

static int print_help(void)
{
    g_autofree char *help = options_help();
    fputs(help, stdout);
    return 0;
}

int main(int argc, char **argv)
{
    (void)argc;
    Options options;
    g_autoptr(GError) error = NULL;
    if (!options_parse(argv, &options, &error))
        return complain(error, EXIT_USAGE);
    int status = 0;
    if (options.help)
        status = print_help();
    else if (options.version)
        printf("thrift-batchctl " PACKAGE_VERSION "\n");
    else
        status = run(&options);
    options_clear(&options);
    return status;
}
