#!/bin/bash
# build.sh OUT: the client of this language, as OUT/client.

set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../../..")
mkdir -p "$1/gen"
cd "$1"

sources=("$0" "$here/client.cpp" "$here/../interop.thrift" "$root/idl/demo.thrift")
if [[ -x client && -z $(find "${sources[@]}" -newer client) ]]; then exit 0; fi

thrift -nowarn -r -I "$root/idl" --gen cpp:no_skeleton -out gen "$here/../interop.thrift"
read -ra thrift_flags < <(pkg-config --cflags --libs thrift)
# Generated code and the library's own headers are not ours to warn about.
"${CXX:-g++}" -std=c++14 -O0 -w -isystem gen -o client.new "$here/client.cpp" \
    gen/Newer.cpp gen/Directory.cpp gen/demo_types.cpp -pthread "${thrift_flags[@]}"
mv client.new client
