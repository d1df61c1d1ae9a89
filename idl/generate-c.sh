#!/bin/sh
# generate-c.sh COMPILER INPUT OUTDIR
#
# Has the Thrift compiler write C for c_glib, and mends two things in what it writes:
#
# - Its finalize functions do not call their parent's, so that each struct that is freed leaves 48
#   bytes behind, on every call. (c-glib-mend.c does the same for c_glib's own objects.)
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
        s/^{$/{\n  g_datalist_clear (\&object->qdata);/
    }' "$file"
    finalizers=$(grep -c '^[a-z0-9_]*_finalize (GObject \*object)$' "$file")
    mended=$(grep -c 'g_datalist_clear (&object->qdata)' "$file")
    if [ "$finalizers" != "$mended" ]; then
        echo "$file: $finalizers finalizers, $mended mended" >&2
        exit 1
    fi
done

for file in "$dir"/*.c; do
    types=$(sed -n 's/^\([a-z0-9_]*_get_type\) (void)$/  \1 ();/p' "$file")
    cat >>"$file" <<END

extern void c_glib_mend (void);

__attribute__ ((constructor)) static void
register_types (void)
{
  c_glib_mend ();
$types
}
END
done

mv "$dir"/* "$3"
