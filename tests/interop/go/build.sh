#!/bin/bash
# build.sh OUT: the client of this language, as OUT/client. No network.

set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../../..")
mkdir -p "$1/gopath/src/client"
cd "$1"

thrift -nowarn -r -I "$root/idl" --gen go:skip_remote -out gopath/src "$here/../interop.thrift"
cp "$here/client.go" gopath/src/client/
export GO111MODULE=off GOPATH=$PWD/gopath:/usr/share/gocode GOFLAGS='' GOCACHE=${GOCACHE:-$PWD/cache}
go vet client
go build -o "$PWD/client" client
