#!/bin/bash
# build.sh OUT: the client of this language, as OUT/client. No network.

set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../../..")
mkdir -p "$1"
cd "$1"

sources=("$0" "$here/Client.java" "$here/../interop.thrift" "$root/idl/demo.thrift")
if [[ -x client && -z $(find "${sources[@]}" -newer client) ]]; then exit 0; fi

rm -rf gen classes
mkdir gen classes
thrift -nowarn -r -I "$root/idl" --gen java:generated_annotations=suppress -out gen \
    "$here/../interop.thrift"
libraries=/usr/share/java/thrift.jar:/usr/share/java/slf4j-api.jar
javac --release 8 -encoding UTF-8 -Xlint:-options -nowarn -cp "$libraries" -d classes gen/*/*.java
javac --release 8 -encoding UTF-8 -Xlint:-options -nowarn -cp "$libraries:classes" -d classes \
    "$here/Client.java"
cat >client <<END
#!/bin/sh
exec java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \\
    -cp "$libraries:/usr/share/java/slf4j-simple.jar:$PWD/classes" Client "\$@"
END
chmod +x client
