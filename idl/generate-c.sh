#!/bin/sh
# generate-c.sh COMPILER INPUT OUTDIR
#
# Has the Thrift compiler write C for c_glib, and mends two things in what it writes:
#
# - Its finalize functions do not call their parent's, so that each struct that is freed leaves 48
#   bytes behind, on every call. The parent may go first, because all that it frees is its own.
# - Its get_type functions register their type when they are called first, without a lock: two threads
#   that make their first call at once both register it, and one gets no type. Here all types are
#   registered before main().
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

for file in "$dir"/*.c; do
    {
        echo
        echo '__attribute__ ((constructor)) static void'
        echo 'register_types (void)'
        echo '{'
        sed -n 's/^\([a-z0-9_]*_get_type\) (void)$/  \1 ();/p' "$file"
        echo '}'
    } >"$file.register"
    cat "$file.register" >>"$file"
    rm "$file.register"
done

mv "$dir"/* "$3"
