#!/bin/bash
# build.sh OUT: the client of this language, as OUT/client.

set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../../..")
mkdir -p "$1"
cd "$1"

cat >client <<END
#!/bin/sh
export IDL="$root/idl" PYTHONDONTWRITEBYTECODE=1
exec /usr/bin/python3 "$here/client.py" "\$@"
END
chmod +x client
