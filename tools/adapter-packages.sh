# What the tests of the adapters need beyond the build: sourced by the entry script.
#
#     install "${ADAPTER_PACKAGES[@]}"       Debian packages
#     prepare_node_adapter DIRECTORY         once a build, in DIRECTORY/node
#     use_node_adapter_of DIRECTORY          for whoever runs the tests
#
# shellcheck shell=bash

ADAPTER_PACKAGES=(python3-thrift python3-thriftpy thrift-compiler
    g++ libthrift-dev libboost-dev
    golang-go golang-thrift-dev
    default-jdk-headless libthrift-java libslf4j-java)
# Other sources' nodejs has npm in it and conflicts with Debian's npm.
command -v node >/dev/null || ADAPTER_PACKAGES+=(nodejs)
command -v npm >/dev/null || ADAPTER_PACKAGES+=(npm)

# The release of Debian 12's thrift-compiler: generated code and library go together.
NODE_THRIFT=0.17.0

prepare_node_adapter() {
    local directory=$1/node
    local installed=$directory/node_modules/thrift/package.json
    mkdir -p "$directory/gen"
    grep -qs "\"version\": \"$NODE_THRIFT\"" "$installed" ||
        npm install --prefix "$directory" --no-save --no-package-lock --no-audit --no-fund \
            --ignore-scripts --loglevel=error "thrift@$NODE_THRIFT"
    thrift -nowarn --gen js:node -out "$directory/gen" idl/demo.thrift
}

use_node_adapter_of() {
    local directory
    directory=$(realpath "$1/node")
    export NODE_PATH=$directory/node_modules GEN_NODE=$directory/gen
}
