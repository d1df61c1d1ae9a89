/* Binary is scanned token by token: a type byte, a length, a container's header. A token is looked
 * at once it is there completely, and everything between tokens, values of a fixed size and whole
 * runs of them included, is skipped unseen. So a small struct costs a few instructions a field, and
 * a list of a million integers costs no more than an empty one.
 *
 * Compact hides the size of an integer in its bytes, so all of these have to be looked at; a varint
 * that is cut short is kept in the scanner. */
#include "wire/scan.h"

#include "wire/skip.h"
#include "wire/types.h"
#include "wire/varint.h"

enum {
    FIELD_ID_SIZE = 2,
    LENGTH_SIZE = 4,
    LIST_HEADER_SIZE = 5, /* element type, count */
    MAP_HEADER_SIZE = 6,  /* key type, value type, count */
};

/* What is left of the bytes that the scanner was fed. */
typedef struct Window {
    const uint8_t *at, *end;
    uint64_t beyond; /* bytes that the struct may take behind `end` */
} Window;

static inline size_t window_left(const Window *window)
{
    return (size_t)(window->end - window->at);
}

static inline ScanStatus skip(Scanner *scanner, Window *window, uint64_t size)
{
    size_t left = window_left(window);
    if (__builtin_expect(size <= left, 1)) {
        window->at += size;
        return SCAN_DONE;
    }
    scanner->skip = size - left;
    window->at = window->end;
    return scanner->skip > window->beyond ? SCAN_E_LIMIT : SCAN_MORE;
}

static inline void expect_value(Scanner *scanner, uint8_t type)
{
    scanner->type = type;
    scanner->step = SCAN_STEP_VALUE;
}

static inline ScanStatus open_level(Scanner *scanner, ScanLevel level)
{
    if (scanner->depth == scanner->max_depth)
        return SCAN_E_DEPTH;
    scanner->levels[scanner->depth++] = level;
    scanner->step = SCAN_STEP_NEXT;
    return SCAN_DONE;
}

static ScanStatus open_struct(Scanner *scanner)
{
    return open_level(scanner, (ScanLevel){.types = {THRIFT_STOP, THRIFT_STOP}});
}

/* Elements of a fixed size are skipped at once instead of opening a level for them; it counts as
 * one all the same. */
static ScanStatus open_container(Scanner *scanner, Window *window, ScanLevel level)
{
    if (scanner->depth == scanner->max_depth)
        return SCAN_E_DEPTH;
    scanner->step = SCAN_STEP_NEXT;
    if (level.left == 0)
        return SCAN_DONE;
    const uint8_t *least = type_least_size[scanner->protocol];
    const uint8_t *fixed = type_fixed_size[scanner->protocol];
    uint64_t pairs = level.left / 2, odd = level.left % 2;
    uint64_t size = pairs * (least[level.types[0]] + least[level.types[1]]) + //
                    odd * least[level.types[1]];
    if (size > window_left(window) + window->beyond)
        return SCAN_E_LIMIT;
    if (fixed[level.types[0]] > 0 && fixed[level.types[1]] > 0)
        return skip(scanner, window, size);
    return open_level(scanner, level);
}

static ScanStatus open_list(Scanner *scanner, Window *window, uint8_t element, uint64_t count)
{
    if (count > INT32_MAX || !type_fits_count(element, count))
        return SCAN_E_INVALID;
    return open_container(scanner, window, (ScanLevel){(uint32_t)count, {element, element}});
}

static ScanStatus open_map(Scanner *scanner, Window *window, uint8_t key, uint8_t value,
                           uint64_t count)
{
    if (count > INT32_MAX || !type_fits_count(key, count) || !type_fits_count(value, count))
        return SCAN_E_INVALID;
    return open_container(scanner, window, (ScanLevel){(uint32_t)count * 2, {key, value}});
}

static ScanStatus skip_string(Scanner *scanner, Window *window, uint64_t len)
{
    if (len > INT32_MAX)
        return SCAN_E_INVALID;
    scanner->step = SCAN_STEP_NEXT;
    return skip(scanner, window, len);
}

static inline ScanStatus skip_fixed(Scanner *scanner, Window *window)
{
    scanner->step = SCAN_STEP_NEXT;
    return skip(scanner, window, type_fixed_size[scanner->protocol][scanner->type]);
}

static inline void next_element(Scanner *scanner, ScanLevel *level)
{
    if (level->left == 0) {
        scanner->depth--;
        return;
    }
    expect_value(scanner, level->types[level->left & 1]);
    level->left--;
}

static ScanStatus binary_string(Scanner *scanner, Window *window)
{
    if (window_left(window) < LENGTH_SIZE)
        return SCAN_MORE;
    uint32_t len = load_be32(window->at);
    window->at += LENGTH_SIZE;
    return skip_string(scanner, window, len);
}

static ScanStatus binary_list(Scanner *scanner, Window *window)
{
    if (window_left(window) < LIST_HEADER_SIZE)
        return SCAN_MORE;
    const uint8_t *header = window->at;
    window->at += LIST_HEADER_SIZE;
    return open_list(scanner, window, header[0], load_be32(header + 1));
}

static ScanStatus binary_map(Scanner *scanner, Window *window)
{
    if (window_left(window) < MAP_HEADER_SIZE)
        return SCAN_MORE;
    const uint8_t *header = window->at;
    window->at += MAP_HEADER_SIZE;
    return open_map(scanner, window, header[0], header[1], load_be32(header + 2));
}

static ScanStatus binary_value(Scanner *scanner, Window *window)
{
    switch ((ThriftType)scanner->type) {
    case THRIFT_STRING:
        return binary_string(scanner, window);
    case THRIFT_STRUCT:
        return open_struct(scanner);
    case THRIFT_LIST:
    case THRIFT_SET:
        return binary_list(scanner, window);
    case THRIFT_MAP:
        return binary_map(scanner, window);
    case THRIFT_BOOL:
    case THRIFT_BYTE:
    case THRIFT_DOUBLE:
    case THRIFT_I16:
    case THRIFT_I32:
    case THRIFT_I64:
    case THRIFT_UUID:
        return skip_fixed(scanner, window);
    case THRIFT_STOP:
        break;
    }
    return SCAN_E_INVALID;
}

/* The rest of a field whose size its type does not tell, or the struct's end. */
static ScanStatus binary_varying_field(Scanner *scanner, Window *window, uint8_t type)
{
    if (type == THRIFT_STOP) {
        scanner->depth--;
        return SCAN_DONE;
    }
    if (!type_known(type))
        return SCAN_E_INVALID;
    expect_value(scanner, type);
    return skip(scanner, window, FIELD_ID_SIZE);
}

/* Fields up to and with the first one whose size is not fixed. */
static ScanStatus binary_fields(Scanner *scanner, Window *window)
{
    const uint8_t *at = window->at, *end = window->end;
    while (at < end) {
        uint8_t type = *at++;
        size_t size = type_fixed_size[PROTOCOL_BINARY][type];
        window->at = at;
        if (size == 0)
            return binary_varying_field(scanner, window, type);
        size += FIELD_ID_SIZE;
        if (size > (size_t)(end - at))
            return skip(scanner, window, size);
        at += size;
    }
    window->at = at;
    return SCAN_MORE;
}

static ScanStatus binary_next(Scanner *scanner, Window *window)
{
    ScanLevel *level = &scanner->levels[scanner->depth - 1];
    if (level->types[0] == THRIFT_STOP)
        return binary_fields(scanner, window);
    next_element(scanner, level);
    return SCAN_DONE;
}

static ScanStatus binary_scan(Scanner *scanner, Window *window)
{
    ScanStatus status = SCAN_DONE;
    while (scanner->depth > 0 && status == SCAN_DONE) {
        if (scanner->step == SCAN_STEP_VALUE)
            status = binary_value(scanner, window);
        else
            status = binary_next(scanner, window);
    }
    return status;
}

/* Takes the rest of a varint; it is in `number` then. */
static ScanStatus compact_varint(Scanner *scanner, Window *window)
{
    unsigned size = scanner->varint_size;
    uint64_t number = size == 0 ? 0 : scanner->number;
    ScanStatus status = SCAN_MORE;
    while (window->at < window->end && status == SCAN_MORE) {
        uint8_t byte = *window->at++;
        number |= (uint64_t)(byte & 0x7f) << (7 * size++);
        if (byte < 0x80)
            status = SCAN_DONE;
        else if (size == VARINT_MAX_SIZE)
            status = SCAN_E_INVALID;
    }
    scanner->number = number;
    scanner->varint_size = status == SCAN_DONE ? 0 : (uint8_t)size;
    return status;
}

/* Integers behind one another: all that matters is where each ends. */
typedef struct Run {
    const uint8_t *at, *end;
    uint32_t left;
    unsigned size; /* bytes of the integer that `at` stands in */
} Run;

/* Eight bytes at once, where no more can end in them than are left and none grows too long. */
static inline bool skip_word(Run *run)
{
    uint64_t word;
    if (run->left < sizeof word || (size_t)(run->end - run->at) < sizeof word)
        return false;
    memcpy(&word, run->at, sizeof word);
    uint64_t ends = ~word & 0x8080808080808080u;
    if (ends == 0 || run->size + (unsigned)__builtin_ctzll(ends) / 8 >= VARINT_MAX_SIZE)
        return false;
    run->at += sizeof word;
    run->left -= (uint32_t)((ends >> 7) * 0x0101010101010101u >> 56);
    run->size = (unsigned)__builtin_clzll(ends) / 8;
    return true;
}

static inline void skip_byte(Run *run)
{
    bool last = *run->at++ < 0x80;
    run->left -= last;
    run->size = last ? 0 : run->size + 1;
}

/* A container of nothing but integers. */
static ScanStatus compact_integers(Scanner *scanner, Window *window, ScanLevel *level)
{
    Run run = {window->at, window->end, level->left, scanner->varint_size};
    while (run.left > 0 && run.at < run.end && run.size < VARINT_MAX_SIZE)
        if (!skip_word(&run))
            skip_byte(&run);
    window->at = run.at;
    level->left = run.left;
    scanner->varint_size = (uint8_t)run.size;
    if (run.size == VARINT_MAX_SIZE)
        return SCAN_E_INVALID;
    if (run.left > 0)
        return SCAN_MORE;
    scanner->depth--;
    return SCAN_DONE;
}

static ScanStatus compact_integer(Scanner *scanner, Window *window)
{
    ScanStatus status = compact_varint(scanner, window);
    if (status == SCAN_DONE)
        scanner->step = SCAN_STEP_NEXT;
    return status;
}

static ScanStatus compact_string(Scanner *scanner, Window *window)
{
    ScanStatus status = compact_varint(scanner, window);
    return status == SCAN_DONE ? skip_string(scanner, window, scanner->number) : status;
}

static ScanStatus compact_list(Scanner *scanner, Window *window)
{
    if (window->at == window->end)
        return SCAN_MORE;
    uint8_t header = *window->at++;
    scanner->type = type_from_compact[header & 0x0f];
    if (header >> 4 < COMPACT_LONG_COUNT)
        return open_list(scanner, window, scanner->type, header >> 4);
    scanner->step = SCAN_STEP_COUNT;
    return SCAN_DONE;
}

static ScanStatus compact_count(Scanner *scanner, Window *window)
{
    ScanStatus status = compact_varint(scanner, window);
    if (status != SCAN_DONE)
        return status;
    return open_list(scanner, window, scanner->type, scanner->number);
}

static ScanStatus compact_map(Scanner *scanner, Window *window)
{
    ScanStatus status = compact_varint(scanner, window);
    if (status != SCAN_DONE)
        return status;
    if (scanner->number == 0)
        return open_map(scanner, window, THRIFT_STOP, THRIFT_STOP, 0);
    scanner->step = SCAN_STEP_MAP_TYPES;
    return SCAN_DONE;
}

static ScanStatus compact_map_types(Scanner *scanner, Window *window)
{
    if (window->at == window->end)
        return SCAN_MORE;
    uint8_t types = *window->at++;
    return open_map(scanner, window, type_from_compact[types >> 4], type_from_compact[types & 0x0f],
                    scanner->number);
}

static ScanStatus compact_value(Scanner *scanner, Window *window)
{
    switch ((ThriftType)scanner->type) {
    case THRIFT_I16:
    case THRIFT_I32:
    case THRIFT_I64:
        return compact_integer(scanner, window);
    case THRIFT_STRING:
        return compact_string(scanner, window);
    case THRIFT_STRUCT:
        return open_struct(scanner);
    case THRIFT_LIST:
    case THRIFT_SET:
        return compact_list(scanner, window);
    case THRIFT_MAP:
        return compact_map(scanner, window);
    case THRIFT_BOOL:
    case THRIFT_BYTE:
    case THRIFT_DOUBLE:
    case THRIFT_UUID:
        return skip_fixed(scanner, window);
    case THRIFT_STOP:
        break;
    }
    return SCAN_E_INVALID;
}

/* A field's bool stands in its header: no value follows. */
static inline void expect_field_value(Scanner *scanner)
{
    scanner->step = scanner->type == THRIFT_BOOL ? SCAN_STEP_NEXT : SCAN_STEP_VALUE;
}

static ScanStatus compact_field(Scanner *scanner, Window *window)
{
    if (window->at == window->end)
        return SCAN_MORE;
    uint8_t header = *window->at++;
    if (header == THRIFT_STOP) {
        scanner->depth--;
        return SCAN_DONE;
    }
    scanner->type = type_from_compact[header & 0x0f];
    if (!type_known(scanner->type))
        return SCAN_E_INVALID;
    if (header >> 4 == 0)
        scanner->step = SCAN_STEP_FIELD_ID;
    else
        expect_field_value(scanner);
    return SCAN_DONE;
}

static ScanStatus compact_field_id(Scanner *scanner, Window *window)
{
    ScanStatus status = compact_varint(scanner, window);
    if (status == SCAN_DONE)
        expect_field_value(scanner);
    return status;
}

static ScanStatus compact_next(Scanner *scanner, Window *window)
{
    ScanLevel *level = &scanner->levels[scanner->depth - 1];
    if (level->types[0] == THRIFT_STOP)
        return compact_field(scanner, window);
    if (type_is_integer(level->types[0]) && type_is_integer(level->types[1]))
        return compact_integers(scanner, window, level);
    next_element(scanner, level);
    return SCAN_DONE;
}

static ScanStatus compact_step(Scanner *scanner, Window *window)
{
    switch (scanner->step) {
    case SCAN_STEP_NEXT:
        return compact_next(scanner, window);
    case SCAN_STEP_VALUE:
        return compact_value(scanner, window);
    case SCAN_STEP_FIELD_ID:
        return compact_field_id(scanner, window);
    case SCAN_STEP_COUNT:
        return compact_count(scanner, window);
    case SCAN_STEP_MAP_TYPES:
        return compact_map_types(scanner, window);
    }
    return SCAN_E_INVALID;
}

static ScanStatus compact_scan(Scanner *scanner, Window *window)
{
    ScanStatus status = SCAN_DONE;
    while (scanner->depth > 0 && status == SCAN_DONE)
        status = compact_step(scanner, window);
    return status;
}

void scanner_init(Scanner *scanner, Protocol protocol)
{
    scanner->protocol = protocol;
    scanner->step = SCAN_STEP_NEXT;
    scanner->varint_size = 0;
    scanner->skip = 0;
    scanner->depth = 1;
    scanner->max_depth = THRIFT_MAX_DEPTH;
    scanner->levels[0] = (ScanLevel){.types = {THRIFT_STOP, THRIFT_STOP}};
}

ScanStatus scanner_feed(Scanner *scanner, const uint8_t *data, size_t len, uint64_t limit,
                        size_t *ret_taken)
{
    *ret_taken = 0;
    if (len == 0)
        return SCAN_MORE;
    Window window = {data, data + len, limit - len};
    uint64_t pending = scanner->skip;
    scanner->skip = 0;
    ScanStatus status = skip(scanner, &window, pending);
    if (status == SCAN_DONE) {
        if (scanner->protocol == PROTOCOL_BINARY)
            status = binary_scan(scanner, &window);
        else
            status = compact_scan(scanner, &window);
    }
    *ret_taken = (size_t)(window.at - data);
    return status;
}

ScanStatus scan_struct(Protocol protocol, Bytes bytes, unsigned max_depth, size_t *ret_taken)
{
    if (protocol == PROTOCOL_BINARY && bytes.len > 0) {
        const uint8_t *end = skip_binary_struct(bytes.data, bytes.data + bytes.len, max_depth);
        *ret_taken = end != NULL ? (size_t)(end - bytes.data) : 0;
        if (end != NULL)
            return SCAN_DONE;
    }
    Scanner scanner;
    scanner_init(&scanner, protocol);
    scanner.max_depth = (uint8_t)max_depth;
    return scanner_feed(&scanner, bytes.data, bytes.len, bytes.len, ret_taken);
}

ScanStatus scan_value(Protocol protocol, ThriftType type, Bytes bytes, unsigned max_depth,
                      size_t *ret_taken)
{
    uint8_t element = (uint8_t)type;
    *ret_taken = 0;
    if (!type_known(element))
        return SCAN_E_INVALID;
    Scanner scanner;
    scanner_init(&scanner, protocol);
    scanner.max_depth = (uint8_t)(max_depth + 1);
    scanner.levels[0] = (ScanLevel){1, {element, element}};
    return scanner_feed(&scanner, bytes.data, bytes.len, bytes.len, ret_taken);
}
