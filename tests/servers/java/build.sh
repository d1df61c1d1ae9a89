#!/bin/bash
# build.sh OUTDIR: builds OUTDIR/server, where it is missing or older than what it is made of.
# Needs default-jdk-headless, libthrift-java, libslf4j-java, thrift-compiler; no network.

set -euo pipefail
root=$(readlink -f "$(dirname "$0")/../../..")
mkdir -p "$1"
out=$(readlink -f "$1")

exec 9>"$out/lock"
flock 9
sources=("$0" "$root/tests/servers/java/DirectoryServer.java"
    "$root/idl/adapters/java/BatchProcessor.java" "$root/idl/demo.thrift")
if [[ -x $out/server && -z $(find "${sources[@]}" -newer "$out/server") ]]; then exit 0; fi

rm -rf "$out/generated" "$out/classes"
mkdir -p "$out/generated" "$out/classes"
thrift -nowarn --gen java:generated_annotations=suppress -out "$out/generated" \
    "$root/idl/demo.thrift"
libraries=/usr/share/java/thrift.jar:/usr/share/java/slf4j-api.jar
javac --release 8 -Xlint:-options,-path -nowarn -cp "$libraries" -d "$out/classes" \
    "$out"/generated/*/*.java
javac --release 8 -Xlint:all,-options,-path -Werror -cp "$libraries:$out/classes" \
    -d "$out/classes" "$root/idl/adapters/java/BatchProcessor.java" \
    "$root/tests/servers/java/DirectoryServer.java"
cat >"$out/server" <<END
#!/bin/sh
exec java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto \\
    -cp "$libraries:/usr/share/java/slf4j-simple.jar:$out/classes" DirectoryServer "\$@"
END
chmod +x "$out/server"
