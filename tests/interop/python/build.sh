#!/bin/bash
# build.sh OUT: the client of this language, as OUT/client.

set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../../..")
mkdir -p "$1/gen"
cd "$1"

thrift -nowarn -r -I "$root/idl" --gen py -out gen "$here/../interop.thrift"
cat >client <<END
#!/bin/sh
export PYTHONPATH="$PWD/gen" PYTHONDONTWRITEBYTECODE=1
exec /usr/bin/python3 "$here/client.py" "\$@"
END
chmod +x client
