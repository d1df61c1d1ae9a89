#!/bin/sh
# generate-c.sh COMPILER INPUT OUTDIR
#
# Has the Thrift compiler write C for c_glib, and mends what it writes: its finalize functions do not
# call their parent's, so that each struct that is freed leaves 48 bytes behind, on every call. The
# parent may go first, because all that it frees is its own.
set -eu

dir=$(mktemp -d "$3/c_glib.XXXXXX")
trap 'rm -rf "$dir"' EXIT
"$1" -nowarn --gen c_glib -out "$dir" "$2"
for file in "$dir"/*_types.c; do
    sed -i '/^[a-z0-9_]*_finalize (GObject \*object)$/{
        n
        s/^{$/{\n  G_OBJECT_CLASS (g_type_class_peek (G_TYPE_OBJECT))->finalize (object);/
    }' "$file"
    finalizers=$(grep -c '^[a-z0-9_]*_finalize (GObject \*object)$' "$file")
    mended=$(grep -c 'g_type_class_peek (G_TYPE_OBJECT)' "$file")
    if [ "$finalizers" != "$mended" ]; then
        echo "$file: $finalizers finalizers, $mended mended" >&2
        exit 1
    fi
done
mv "$dir"/* "$3"
