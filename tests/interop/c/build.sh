#!/bin/bash
# build.sh OUT: the client of this language, as OUT/client.

set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../../..")
mkdir -p "$1/gen"
cd "$1"

sources=("$0" "$here"/*.[ch] "$here/../interop.thrift" "$root/idl/demo.thrift")
if [[ -x client && -z $(find "${sources[@]}" -newer client) ]]; then exit 0; fi

# As the compiler writes it, without what idl/generate-c.sh mends: as anybody's client has it.
# Its generator knows no services that extend those of another file: the new method stands alone.
sed -e '/^include/d' -e 's/ extends demo.Directory//' "$here/../interop.thrift" >gen/interop.thrift
thrift -nowarn --gen c_glib -out gen "$root/idl/demo.thrift"
thrift -nowarn --gen c_glib -out gen gen/interop.thrift
read -ra flags < <(pkg-config --cflags --libs thrift_c_glib gobject-2.0)
"${CC:-cc}" -std=gnu11 -O1 -w -Werror=implicit-function-declaration -isystem gen -o client.new "$here"/*.c gen/*.c "${flags[@]}" -lm
mv client.new client
