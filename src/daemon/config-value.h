/* The values of the ini file: one parser a kind, all of one shape so that a table can name them.
 *
 * A parser writes to `target`, which it expects all zero, only when the text is valid. Otherwise
 * *error says what is wrong and what would be right, without naming file, line or key: "'5' has no
 * unit; write a duration from 1us to 1min, for example 500us". */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct ValueChoice {
    const char *name; /* NULL ends a list of choices */
    int value;
} ValueChoice;

/* What is valid beyond the form. The numbers' limits are inclusive, in nanoseconds or bytes where
 * the kind has units. */
typedef struct ValueRule {
    uint64_t min, max;
    bool zero;                  /* 0 is valid too */
    const ValueChoice *choices; /* of value_parse_choice() */
    const char *example;
} ValueRule;

typedef bool ValueParser(const char *text, const ValueRule *rule, void *target, GError **error);

/* config-number.c */
ValueParser value_parse_duration; /* nsec_t */
ValueParser value_parse_size;     /* size_t */
ValueParser value_parse_count;    /* uint32_t */
ValueParser value_parse_mode;     /* mode_t, octal */

char *value_format_duration(uint64_t value); /* owned by the caller */

/* config-value.c */
ValueParser value_parse_bool;             /* bool */
ValueParser value_parse_choice;           /* an enum */
ValueParser value_parse_word;             /* char *, owned by the target */
ValueParser value_parse_method;           /* char *, owned by the target */
ValueParser value_parse_listen_address;   /* AddressName *, owned; port 0 lets the kernel choose */
ValueParser value_parse_listen_addresses; /* GArray * of AddressName, owned */
ValueParser value_parse_servers;          /* GArray * of AddressName, owned */
ValueParser value_parse_batch_item;       /* MethodPolicy, its two members for batch_item */
ValueParser value_parse_requests_path;    /* FieldPath in an argument struct */
ValueParser value_parse_responses_path;   /* FieldPath in a result struct */

/* Sets "'TEXT' WRONG; RIGHT", for an empty text "has no value; RIGHT", and returns false. */
bool value_reject(GError **error, const char *text, const char *wrong, const char *right, ...)
    __attribute__((format(printf, 4, 5)));
