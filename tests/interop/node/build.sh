#!/bin/bash
# build.sh OUT: the client of this language, as OUT/client. Fetches the thrift module from npm.

set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../../..")
mkdir -p "$1/gen"
cd "$1"

# The release of Debian 12's thrift-compiler: generated code and library go together.
release=0.17.0
grep -qs "\"version\": \"$release\"" node_modules/thrift/package.json ||
    npm install --prefix . --no-save --no-package-lock --no-audit --no-fund --ignore-scripts \
        --loglevel=error "thrift@$release"
thrift -nowarn -r -I "$root/idl" --gen js:node -out gen "$here/../interop.thrift"
cat >client <<END
#!/bin/sh
export NODE_PATH="$PWD/node_modules:$PWD/gen"
exec node "$here/client.js" "\$@"
END
chmod +x client
