#!/bin/bash
# build.sh OUTDIR: builds OUTDIR/server, where it is missing or older than what it is made of.
# Needs golang-go, golang-thrift-dev, thrift-compiler; no network.

set -euo pipefail
root=$(readlink -f "$(dirname "$0")/../../..")
mkdir -p "$1"
out=$(readlink -f "$1")

exec 9>"$out/lock"
flock 9
sources=("$0" "$root/tests/servers/go/server.go" "$root/idl/adapters/go/batch.go"
    "$root/idl/demo.thrift")
if [[ -x $out/server && -z $(find "${sources[@]}" -newer "$out/server") ]]; then exit 0; fi

packages=$out/gopath/src
mkdir -p "$packages/thriftbatch" "$packages/server"
cp "$root/idl/adapters/go/batch.go" "$packages/thriftbatch/"
cp "$root/tests/servers/go/server.go" "$packages/server/"
thrift -nowarn --gen go -out "$packages" "$root/idl/demo.thrift"

export GO111MODULE=off GOPATH=$out/gopath:/usr/share/gocode GOFLAGS='' GOCACHE=${GOCACHE:-$out/cache}
go vet thriftbatch server
go build -o "$out/server" server
