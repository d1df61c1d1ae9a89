#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "net/address.h"

typedef struct Good {
    const char *text, *host;
    uint16_t port;
    const char *path;
} Good;

Test(address, parses_what_the_configuration_may_say)
{
    static const Good rows[] = {
        {"127.0.0.1:9090", "127.0.0.1", 9090, NULL},
        {"users.internal:1", "users.internal", 1, NULL},
        {"under_score-1:65535", "under_score-1", 65535, NULL},
        {"7up:80", "7up", 80, NULL},
        {"[::1]:9090", "::1", 9090, NULL},
        {"[fe80::1%lo]:9090", "fe80::1%lo", 9090, NULL},
        {"[::ffff:10.0.0.1]:9", "::ffff:10.0.0.1", 9, NULL},
        {"unix:/run/a b.sock", NULL, 0, "/run/a b.sock"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const Good *row = &rows[i];
        AddressName name;
        g_autoptr(GError) error = NULL;
        cr_assert(address_name_parse(row->text, false, &name, &error), "%s: %s", row->text,
                  error ? error->message : "");
        cr_expect_str_eq(name.text, row->text);
        cr_expect_eq(g_strcmp0(name.host, row->host), 0, "%s", row->text);
        cr_expect_eq(g_strcmp0(name.path, row->path), 0, "%s", row->text);
        cr_expect_eq(name.port, row->port, "%s", row->text);
        address_name_clear(&name);
        cr_expect_null(name.text);
    }
}

typedef struct Bad {
    const char *text, *message;
} Bad;

Test(address, says_what_is_wrong_and_what_would_be_right)
{
    static const Bad rows[] = {
        {"", "'' has no port; write host:port, [::1]:port or unix:/path"},
        {"localhost", "'localhost' has no port; write host:port, [::1]:port or unix:/path"},
        {":9090", "':9090' has no host; write host:port, for all addresses 0.0.0.0:port"},
        {"*:9090", "'*:9090' has the host '*'; write a name or an IP address"},
        {"a b:1", "'a b:1' has the host 'a b'; write a name or an IP address"},
        {"-a:1", "'-a:1' has the host '-a'; write a name or an IP address"},
        {"10.0.0.300:1", "'10.0.0.300:1' has the host '10.0.0.300'; write a name or an IP address"},
        {"10.1:1", "'10.1:1' has the host '10.1'; write a name or an IP address"},
        {"::1:9090", "'::1:9090' has more than one ':'; write an IPv6 address as [::1]:port"},
        {"[::1]", "'[::1]' has no port behind a ']'; write [::1]:port"},
        {"[::1", "'[::1' has no port behind a ']'; write [::1]:port"},
        {"[::1]9090", "'[::1]9090' has no port behind a ']'; write [::1]:port"},
        {"[10.0.0.1]:1", "'[10.0.0.1]:1' has no IPv6 address in its brackets; write [::1]:port"},
        {"[]:1", "'[]:1' has no IPv6 address in its brackets; write [::1]:port"},
        {"a:", "'a:' has the port ''; a port is a number from 1 to 65535"},
        {"a:0", "'a:0' has the port '0'; a port is a number from 1 to 65535"},
        {"a:65536", "'a:65536' has the port '65536'; a port is a number from 1 to 65535"},
        {"a:+1", "'a:+1' has the port '+1'; a port is a number from 1 to 65535"},
        {"a: 1", "'a: 1' has the port ' 1'; a port is a number from 1 to 65535"},
        {"a:1x", "'a:1x' has the port '1x'; a port is a number from 1 to 65535"},
        {"[::1]:0", "'[::1]:0' has the port '0'; a port is a number from 1 to 65535"},
        {"unix:", "'unix:' has no absolute path; write unix:/path"},
        {"unix:a.sock", "'unix:a.sock' has no absolute path; write unix:/path"},
        {"unix:/run/", "'unix:/run/' names a directory; write unix:/path/to/the.sock"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        AddressName name = {.port = 7};
        g_autoptr(GError) error = NULL;
        cr_assert_not(address_name_parse(rows[i].text, false, &name, &error), "%s", rows[i].text);
        cr_expect_str_eq(error->message, rows[i].message);
        cr_expect_eq(name.port, 7, "the result is untouched on failure");
    }
}

Test(address, port_zero_only_where_the_kernel_may_choose)
{
    AddressName name;
    g_autoptr(GError) error = NULL;

    cr_assert(address_name_parse("[::1]:0", true, &name, NULL));
    cr_expect_eq(name.port, 0);
    address_name_clear(&name);
    cr_assert_not(address_name_parse("a:65536", true, &name, &error));
    cr_expect_str_eq(error->message,
                     "'a:65536' has the port '65536'; a port is a number from 0 to 65535");
}

Test(address, limits_of_names_and_paths)
{
    static const struct {
        const char *prefix, *suffix;
        size_t max;
    } rows[] = {{"unix:/", "", 106}, {"", ":1", 253}};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        for (size_t extra = 0; extra < 2; extra++) {
            g_autofree char *filler = g_strnfill(rows[i].max + extra, 'a');
            g_autofree char *text = g_strconcat(rows[i].prefix, filler, rows[i].suffix, NULL);
            AddressName name = {0};
            cr_expect_eq(address_name_parse(text, false, &name, NULL), extra == 0, "%s", text);
            address_name_clear(&name);
        }
    }
}

Test(address, equal_is_the_same_place)
{
    static const struct {
        const char *a, *b;
        bool equal;
    } rows[] = {
        {"a:1", "a:1", true},          {"a:1", "A:1", true},
        {"a:1", "a:2", false},         {"a:1", "b:1", false},
        {"a:0", "a:0", false},         {"[::1]:1", "[0:0::1]:1", true},
        {"[::1]:1", "[::2]:1", false}, {"unix:/a", "unix:/a", true},
        {"unix:/a", "unix:/b", false}, {"unix:/a", "a:1", false},
        {"a:1", "unix:/a", false},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        AddressName a, b;
        cr_assert(address_name_parse(rows[i].a, true, &a, NULL));
        cr_assert(address_name_parse(rows[i].b, true, &b, NULL));
        cr_expect_eq(address_name_equal(&a, &b), rows[i].equal, "%s %s", rows[i].a, rows[i].b);
        address_name_clear(&a);
        address_name_clear(&b);
    }
}

static GArray *resolve(const char *text, GError **error)
{
    AddressName name;
    cr_assert(address_name_parse(text, true, &name, NULL));
    GArray *addresses = address_resolve(&name, error);
    address_name_clear(&name);
    return addresses;
}

Test(address, resolves_and_formats_back)
{
    static const char *const rows[] = {
        "127.0.0.1:9090",
        "[::1]:9090",
        "[2001:db8::7]:0",
        "unix:/run/thrift-batchd/a.sock",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GArray) addresses = resolve(rows[i], NULL);
        char text[ADDRESS_TEXT_SIZE];
        cr_assert_eq(addresses->len, 1, "%s", rows[i]);
        const Address *address = &g_array_index(addresses, Address, 0);
        address_format(&address->sockaddr, address->len, text);
        cr_expect_str_eq(text, rows[i]);
    }
}

Test(address, resolves_a_name_without_duplicates)
{
    g_autoptr(GArray) addresses = resolve("localhost:9090", NULL);

    cr_assert_gt(addresses->len, 0);
    for (guint i = 0; i < addresses->len; i++) {
        char text[ADDRESS_TEXT_SIZE], other[ADDRESS_TEXT_SIZE];
        const Address *a = &g_array_index(addresses, Address, i);
        address_format(&a->sockaddr, a->len, text);
        for (guint j = i + 1; j < addresses->len; j++) {
            const Address *b = &g_array_index(addresses, Address, j);
            address_format(&b->sockaddr, b->len, other);
            cr_expect_str_neq(text, other);
        }
    }
}

Test(address, knows_what_needs_no_resolver)
{
    static const struct {
        const char *text;
        bool fixed;
    } rows[] = {
        {"127.0.0.1:1", true},  {"[::1]:1", true},           {"unix:/s", true},
        {"localhost:1", false}, {"users.internal:1", false}, {"[fe80::1%eth0]:1", false},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        AddressName name;
        cr_assert(address_name_parse(rows[i].text, false, &name, NULL), "%s", rows[i].text);
        cr_expect_eq(address_name_is_fixed(&name), rows[i].fixed, "%s", rows[i].text);
        address_name_clear(&name);
    }
}

Test(address, names_what_cannot_be_resolved)
{
    g_autoptr(GError) error = NULL;

    cr_assert_null(resolve("does-not-exist.invalid:1", &error));
    cr_expect(g_str_has_prefix(error->message, "'does-not-exist.invalid:1' cannot be resolved: "),
              "%s", error->message);
}

Test(address, formats_unix_sockets_as_the_kernel_hands_them_out)
{
    static const struct {
        const char *path;
        size_t path_len; /* as counted in the socket address's length */
        const char *text;
    } rows[] = {
        {"", 0, "unix:"},
        {"", 1, "unix:"},
        {"/a.sock", 8, "unix:/a.sock"},
        {"/a.sock", 7, "unix:/a.sock"},
        {"\0abstract", 9, "unix:@abstract"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct sockaddr_storage storage = {0};
        struct sockaddr_un sun = {.sun_family = AF_UNIX};
        char text[ADDRESS_TEXT_SIZE];
        memcpy(sun.sun_path, rows[i].path, rows[i].path_len);
        memcpy(&storage, &sun, sizeof sun);
        address_format(
            &storage, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + rows[i].path_len), text);
        cr_expect_str_eq(text, rows[i].text, "row %zu: %s", i, text);
    }
}

Test(address, formats_a_path_that_fills_the_socket_address)
{
    struct sockaddr_storage storage = {0};
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    char text[ADDRESS_TEXT_SIZE];

    memset(sun.sun_path, 'a', sizeof sun.sun_path);
    memcpy(&storage, &sun, sizeof sun);
    memset((char *)&storage + sizeof sun, 'b', sizeof storage - sizeof sun);
    address_format(&storage, sizeof sun, text);
    cr_expect_eq(strlen(text), strlen("unix:") + sizeof sun.sun_path);
    cr_expect_null(strchr(text, 'b'));
}
