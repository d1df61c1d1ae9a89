/* What lies in pieces arrives in order, however many, small or large they are; the small ones have
 * been put together. */
#include "net/pieces.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LARGEST = 4 * LOOP_WRITE_SIZE };

typedef struct Wire {
    Loop *loop;
    int ends[2];
    uint8_t sent[LARGEST];
    struct iovec pieces[IOV_MAX];
} Wire;

static Wire *new_wire(void)
{
    GError *error = NULL;
    Wire *wire = g_new0(Wire, 1);
    wire->loop = loop_new(&error);
    cr_assert_not_null(wire->loop);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, wire->ends), 0);
    for (size_t i = 0; i < sizeof wire->sent; i++)
        wire->sent[i] = (uint8_t)(i * 31 + i / 251);
    return wire;
}

static void free_wire(Wire *wire)
{
    close(wire->ends[0]);
    close(wire->ends[1]);
    loop_free(wire->loop);
    g_free(wire);
}

static ssize_t send_in(Wire *wire, size_t n, size_t piece)
{
    wire->loop->write_buffer[0] = (uint8_t)~wire->sent[0];
    for (size_t i = 0; i < n; i++)
        wire->pieces[i] = (struct iovec){wire->sent + i * piece, piece};
    return pieces_send(wire->loop, wire->ends[0], wire->pieces, n);
}

static void expect_prefix(Wire *wire, size_t len)
{
    static uint8_t received[LARGEST];
    size_t have = 0;
    ssize_t got;
    while ((got = recv(wire->ends[1], received + have, sizeof received - have, 0)) > 0)
        have += (size_t)got;
    cr_assert_eq(have, len, "%zu of %zu bytes", have, len);
    cr_assert_eq(memcmp(received, wire->sent, len), 0);
}

Test(pieces, arrive_in_order)
{
    static const struct {
        size_t n, piece;
        bool together;
    } cases[] = {
        {1, 1, false},      {1, 40000, false},    {2, 60, true},
        {64, 78, true},     {64, 512, true}, /* as much as the write buffer takes */
        {64, 513, false},   {4, 1024, true},      {4, 1025, false},
        {IOV_MAX, 3, true}, {IOV_MAX, 64, false},
    };
    Wire *wire = new_wire();
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        size_t len = cases[i].n * cases[i].piece;
        cr_assert_eq(send_in(wire, cases[i].n, cases[i].piece), (ssize_t)len);
        expect_prefix(wire, len);
        cr_assert_eq(wire->loop->write_buffer[0] == wire->sent[0], cases[i].together,
                     "%zu pieces of %zu", cases[i].n, cases[i].piece);
    }
    free_wire(wire);
}

Test(pieces, of_different_lengths_arrive_in_order)
{
    static const size_t lengths[] = {4, 56, 0, 900, 1, 20000, 60};
    Wire *wire = new_wire();
    for (size_t n = 1; n <= G_N_ELEMENTS(lengths); n++) {
        size_t len = 0;
        for (size_t i = 0; i < n; i++) {
            wire->pieces[i] = (struct iovec){wire->sent + len, lengths[i]};
            len += lengths[i];
        }
        cr_assert_eq(pieces_len(wire->pieces, n), len);
        cr_assert_eq(pieces_send(wire->loop, wire->ends[0], wire->pieces, n), (ssize_t)len);
        expect_prefix(wire, len);
    }
    free_wire(wire);
}

static void expect_partial(size_t n, size_t piece)
{
    Wire *wire = new_wire();
    int size = 4096;
    cr_assert_eq(setsockopt(wire->ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    ssize_t len = send_in(wire, n, piece);
    cr_assert(len > 0 && len < (ssize_t)(n * piece), "%zd of %zu bytes", len, n * piece);
    cr_assert(send_in(wire, n, piece) < 0 && errno == EAGAIN);
    expect_prefix(wire, (size_t)len);
    free_wire(wire);
}

Test(pieces, what_the_socket_does_not_take_is_told)
{
    expect_partial(4, LARGEST / 4);
    expect_partial(64, 512);
}

Test(pieces, of_a_connection_that_is_gone_raise_no_signal)
{
    Wire *wire = new_wire();
    shutdown(wire->ends[1], SHUT_RDWR);
    cr_assert(send_in(wire, 1, 60) < 0 && errno == EPIPE);
    cr_assert(send_in(wire, 64, 78) < 0 && errno == EPIPE);
    cr_assert(send_in(wire, 4, LARGEST / 4) < 0 && errno == EPIPE);
    free_wire(wire);
}
