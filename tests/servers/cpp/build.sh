#!/bin/bash
# build.sh OUTDIR: builds OUTDIR/server, where it is missing or older than what it is made of.
# Needs g++ (or what CXX says), libthrift-dev, libboost-dev (which its headers include), pkgconf,
# thrift-compiler.

set -euo pipefail
root=$(readlink -f "$(dirname "$0")/../../..")
mkdir -p "$1"
out=$(readlink -f "$1")

exec 9>"$out/lock"
flock 9
sources=("$0" "$root/tests/servers/cpp/server.cpp" "$root/idl/adapters/cpp/batch-processor.h"
    "$root/idl/demo.thrift")
if [[ -x $out/server && -z $(find "${sources[@]}" -newer "$out/server") ]]; then exit 0; fi

thrift -nowarn --gen cpp:no_skeleton -out "$out" "$root/idl/demo.thrift"
read -ra thrift_flags < <(pkg-config --cflags --libs thrift)
read -ra flags <<<"${CXXFLAGS:--O1 -g}"
# Generated code and the library's own headers are not ours to warn about.
"${CXX:-g++}" -std=c++14 "${flags[@]}" -Wall -Wextra -Wshadow -Wconversion -isystem "$out" \
    -I "$root/idl/adapters/cpp" -o "$out/server.new" \
    "$root/tests/servers/cpp/server.cpp" "$out/Directory.cpp" "$out/demo_types.cpp" \
    -pthread "${thrift_flags[@]}" -Wno-unused-parameter
mv "$out/server.new" "$out/server"
