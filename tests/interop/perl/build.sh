#!/bin/bash
# build.sh OUT: the client of this language, as OUT/client.

set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../../..")
mkdir -p "$1/gen"
cd "$1"

thrift -nowarn -r -I "$root/idl" --gen perl -out gen "$here/../interop.thrift"
cat >client <<END
#!/bin/sh
exec /usr/bin/perl -I "$PWD/gen" "$here/client.pl" "\$@"
END
chmod +x client
