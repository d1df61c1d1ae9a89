#!/bin/bash
# packages.sh: installs what the clients of all languages need and this machine lacks.

set -euo pipefail

packages=(thrift-compiler pkgconf gcc g++
    python3-thrift python3-thriftpy
    php-cli php-thrift
    ruby ruby-thrift
    libthrift-perl libbit-vector-perl libclass-accessor-perl
    libthrift-c-glib-dev libglib2.0-dev
    libthrift-dev libboost-dev
    golang-go golang-thrift-dev
    default-jdk-headless libthrift-java libslf4j-java)
# The thrift module comes from npm (node/build.sh). Another source's nodejs has npm in it and
# conflicts with Debian's.
command -v node >/dev/null || packages+=(nodejs)
command -v npm >/dev/null || packages+=(npm)

missing=()
for package in "${packages[@]}"; do
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
        missing+=("$package")
done
((${#missing[@]})) || exit 0

as_root=()
if ((EUID != 0)); then as_root=(sudo); fi
apt_install() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends "${missing[@]}"
}
echo "Installing ${missing[*]}"
apt_install || { "${as_root[@]}" apt-get update && apt_install; }
