#!/bin/bash
# build.sh OUT: the client of this language, as OUT/client.

set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../../..")
mkdir -p "$1/gen"
cd "$1"

thrift -nowarn -r -I "$root/idl" --gen php -out gen "$here/../interop.thrift"
# Debian's package puts its extension where PHP finds it, but enables it for another PHP's version.
cat >client <<END
#!/bin/sh
export GEN_PHP="$PWD/gen"
exec php -d display_errors=stderr -d extension=thrift_protocol "$here/client.php" "\$@"
END
chmod +x client
