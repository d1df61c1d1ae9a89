#!/bin/sh
# generate-c.sh COMPILER INPUT OUTDIR
#
# Has the Thrift compiler write C for c_glib, and mends three things in what it writes:
#
# - Its finalize functions do not call their parent's, so that each struct that is freed leaves 48
#   bytes behind, on every call. (c-glib-mend.c does the same for c_glib's own objects.)
# - Its get_type functions register their type when they are called first, without a lock: two threads
#   that make their first call at once both register it, and one gets no type. Here all types are
#   registered before main().
# - Its processors look for the parent's dispatch_call in the class of the object instead of their own:
#   where a service extends another, one that neither knows makes the parent call itself for ever.
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
    sed -i 's/g_type_class_peek_parent (\([A-Z0-9_]*\)_GET_CLASS (self))/\L\1_parent_class/' "$file"
    if grep -q g_type_class_peek_parent.*self "$file"; then
        echo "$file: a processor's parent is not mended" >&2
        exit 1
    fi
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
