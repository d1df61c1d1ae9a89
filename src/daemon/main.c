#include "daemon/daemon.h"

int main(int argc, char **argv)
{
    (void)argc;
    return daemon_main(argv);
}
