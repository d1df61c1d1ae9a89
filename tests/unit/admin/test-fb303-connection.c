/* Connections of the fb303 interface: forms, order, limits, who may change the daemon. */
#include <criterion/criterion.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fake-daemon.h"
#include "fb303-talk.h"

static const char *const none[] = {NULL};
static const Form framed = {TRANSPORT_FRAMED, PROTOCOL_BINARY, true};

static void send_all(int fd, Bytes bytes)
{
    while (bytes.len > 0) {
        ssize_t len = send(fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        cr_assert_gt(len, 0);
        bytes = (Bytes){bytes.data + len, bytes.len - (size_t)len};
    }
}

static void call(int fd, Form form, const char *method, int32_t seqid, const char *const *arguments)
{
    Buffer bytes = {0};
    fb303_append_call(&bytes, form, MESSAGE_CALL, method, seqid, arguments);
    send_all(fd, (Bytes){bytes.data, bytes.len});
    buffer_clear(&bytes);
}

static void expect_name(int fd, Form form, int32_t seqid)
{
    Fb303Reply reply;
    cr_assert(fb303_receive(fd, form, &reply), "closed before reply %d", seqid);
    cr_expect_eq(reply.seqid, seqid);
    cr_expect_str_eq(reply.name, "getName");
    cr_expect_eq(reply.strict, form.strict);
    char *name = fb303_string_result(&reply, form.protocol);
    cr_expect_str_eq(name, "thrift-batchd");
    g_free(name);
    buffer_clear(&reply.body);
}

/* The words of an exception that is the next reply. */
static char *refusal(int fd, int32_t seqid, ExceptionCode code)
{
    Fb303Reply reply;
    cr_assert(fb303_receive(fd, framed, &reply));
    cr_expect_eq(reply.seqid, seqid);
    char *text = fb303_exception_text(&reply, PROTOCOL_BINARY, code);
    buffer_clear(&reply.body);
    return text;
}

static void expect_refusal(int fd, int32_t seqid, ExceptionCode code, const char *words)
{
    char *text = refusal(fd, seqid, code);
    cr_expect_not_null(strstr(text, words), "'%s' is not in: %s", words, text);
    g_free(text);
}

static void expect_done(int fd, const char *method)
{
    Fb303Reply reply;
    cr_assert(fb303_receive(fd, framed, &reply));
    cr_expect_eq(reply.type, MESSAGE_REPLY);
    cr_expect_str_eq(reply.name, method);
    buffer_clear(&reply.body);
}

static void expect_closed(int fd)
{
    uint8_t byte;
    ssize_t len = recv(fd, &byte, 1, 0);
    cr_expect(len == 0 || (len < 0 && errno == ECONNRESET), "still open");
}

Test(fb303_connection, answers_in_the_form_of_the_call)
{
    FakeDaemon daemon;
    fake_daemon_start(&daemon, FB303_IDLE_TIMEOUT);
    for (int i = 0; i < FB303_FORMS; i++) {
        int fd = fake_daemon_connect(&daemon);
        call(fd, fb303_forms[i], "getName", 7, none);
        expect_name(fd, fb303_forms[i], 7);
        call(fd, fb303_forms[i], "getName", -8, none);
        expect_name(fd, fb303_forms[i], -8);
        close(fd);
    }
    fake_daemon_stop(&daemon);
}

Test(fb303_connection, pipelined_calls_are_answered_in_order_however_they_are_cut)
{
    FakeDaemon daemon;
    fake_daemon_start(&daemon, FB303_IDLE_TIMEOUT);
    for (int i = 0; i < FB303_FORMS; i++) {
        Buffer bytes = {0};
        for (int seqid = 0; seqid < 50; seqid++)
            fb303_append_call(&bytes, fb303_forms[i], MESSAGE_CALL, "getName", seqid, none);
        for (size_t size = 1; size <= bytes.len; size = size * 7 + 3) {
            int fd = fake_daemon_connect(&daemon);
            for (size_t at = 0; at < bytes.len; at += size)
                send_all(fd, (Bytes){bytes.data + at, MIN(size, bytes.len - at)});
            for (int seqid = 0; seqid < 50; seqid++)
                expect_name(fd, fb303_forms[i], seqid);
            close(fd);
        }
        buffer_clear(&bytes);
    }
    fake_daemon_stop(&daemon);
}

Test(fb303_connection, a_message_of_the_wrong_type_or_name_gets_an_exception_and_it_goes_on)
{
    FakeDaemon daemon;
    fake_daemon_start(&daemon, FB303_IDLE_TIMEOUT);
    int fd = fake_daemon_connect(&daemon);
    Buffer bytes = {0};
    fb303_append_call(&bytes, framed, MESSAGE_REPLY, "getName", 1, none);
    fb303_append_call(&bytes, framed, MESSAGE_CALL, "getNothing", 2, none);
    fb303_append_call(&bytes, framed, MESSAGE_ONEWAY, "getNothing", 3, none);
    fb303_append_call(&bytes, framed, MESSAGE_ONEWAY, "getName", 4, none);
    fb303_append_call(&bytes, framed, MESSAGE_CALL, "getName", 5, none);
    send_all(fd, (Bytes){bytes.data, bytes.len});
    expect_refusal(fd, 1, EXCEPTION_INVALID_MESSAGE_TYPE, "CALL or ONEWAY");
    expect_refusal(fd, 2, EXCEPTION_UNKNOWN_METHOD, "getNothing");
    expect_name(fd, framed, 5);
    buffer_clear(&bytes);
    close(fd);
    fake_daemon_stop(&daemon);
}

Test(fb303_connection, arguments_that_do_not_parse_are_the_last_words)
{
    FakeDaemon daemon;
    fake_daemon_start(&daemon, FB303_IDLE_TIMEOUT);
    int fd = fake_daemon_connect(&daemon);
    Buffer bytes = {0};
    fb303_append_call(&bytes, framed, MESSAGE_CALL, "getName", 1, none);
    bytes.data[bytes.len - 1] = 99; /* where a field's type or the end should be */
    fb303_append_call(&bytes, framed, MESSAGE_CALL, "getName", 2, none);
    send_all(fd, (Bytes){bytes.data, bytes.len});
    expect_refusal(fd, 1, EXCEPTION_PROTOCOL_ERROR, "do not parse");
    expect_closed(fd);
    buffer_clear(&bytes);
    close(fd);
    fake_daemon_stop(&daemon);
}

Test(fb303_connection, what_is_no_message_or_too_large_closes_it)
{
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
        {"GET / HTTP/1.1\r\n\r\n", 18},
        {"\0\0\0\0", 4},
        {"\x80\1\0\5\0\0\0\1x\0\0\0\1", 13},  /* no such message type */
        {"\0\1\0\1\x80\1\0\1", 8},            /* a frame of 64 KiB and one byte */
        {"\x80\1\0\1\0\1\0\0nameofthat", 18}, /* a name of 64 KiB */
    };
    FakeDaemon daemon;
    fake_daemon_start(&daemon, FB303_IDLE_TIMEOUT);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        int fd = fake_daemon_connect(&daemon);
        send_all(fd, (Bytes){(const uint8_t *)bad[i].bytes, bad[i].len});
        if (i == 4)
            for (int n = 0; n < 66; n++) { /* behind the limit it may be closed already */
                static const uint8_t kilobyte[1024] = "x";
                send(fd, kilobyte, sizeof kilobyte, MSG_NOSIGNAL);
            }
        expect_closed(fd);
        close(fd);
    }
    fake_daemon_stop(&daemon);
}

Test(fb303_connection, one_too_many_is_closed_and_a_place_that_is_left_is_taken)
{
    FakeDaemon daemon;
    int fds[FB303_MAX_CONNECTIONS];
    fake_daemon_start(&daemon, FB303_IDLE_TIMEOUT);
    for (int i = 0; i < FB303_MAX_CONNECTIONS; i++)
        fds[i] = fake_daemon_connect(&daemon);
    int one_more = fake_daemon_connect(&daemon);
    expect_closed(one_more);
    close(one_more);
    call(fds[5], framed, "getName", 1, none);
    expect_name(fds[5], framed, 1);
    close(fds[5]);
    bool served = false;
    for (int i = 0; i < 20000 && !served; i++) { /* until the end of the other one was seen */
        fds[5] = fake_daemon_connect(&daemon);
        Buffer bytes = {0};
        fb303_append_call(&bytes, framed, MESSAGE_CALL, "getName", 2, none);
        send(fds[5], bytes.data, bytes.len, MSG_NOSIGNAL);
        buffer_clear(&bytes);
        Fb303Reply reply = {0};
        served = fb303_receive(fds[5], framed, &reply);
        buffer_clear(&reply.body);
        if (!served)
            close(fds[5]);
    }
    cr_expect(served);
    for (int i = 0; i < FB303_MAX_CONNECTIONS; i++)
        close(fds[i]);
    fake_daemon_stop(&daemon);
}

Test(fb303_connection, who_does_not_finish_a_message_is_closed)
{
    FakeDaemon daemon;
    fake_daemon_start(&daemon, 300 * NSEC_PER_MSEC);
    int silent = fake_daemon_connect(&daemon), slow = fake_daemon_connect(&daemon);
    send_all(slow, BYTES_LITERAL("\0\0"));
    expect_closed(silent);
    expect_closed(slow);
    close(silent);
    close(slow);
    fake_daemon_stop(&daemon);
}

Test(fb303_connection, who_does_not_read_its_replies_is_not_read_and_then_closed)
{
    FakeDaemon daemon;
    fake_daemon_start(&daemon, 500 * NSEC_PER_MSEC);
    int fd = fake_daemon_connect(&daemon);
    Buffer bytes = {0};
    for (int i = 0; i < 100; i++)
        fb303_append_call(&bytes, framed, MESSAGE_CALL, "getStatsJson", i, none);
    /* Until nothing more is taken, and then until it is closed. */
    while (send(fd, bytes.data, bytes.len, MSG_NOSIGNAL) > 0)
        ;
    cr_expect(errno == EPIPE || errno == ECONNRESET);
    cr_expect_lt(daemon.n_collected, 5000);
    buffer_clear(&bytes);
    close(fd);
    fake_daemon_stop(&daemon);
}

Test(fb303_connection, one_that_waits_for_statistics_is_not_idle)
{
    FakeDaemon daemon;
    fake_daemon_start(&daemon, 50 * NSEC_PER_MSEC);
    daemon.holds = true;
    int fd = fake_daemon_connect(&daemon), idle = fake_daemon_connect(&daemon);
    call(fd, framed, "getName", 1, none);
    expect_closed(idle);
    fake_daemon_deliver(&daemon);
    expect_name(fd, framed, 1);
    close(fd);
    close(idle);
    fake_daemon_stop(&daemon);
}

Test(fb303_connection, who_leaves_while_statistics_are_collected_harms_nobody)
{
    FakeDaemon daemon;
    fake_daemon_start(&daemon, FB303_IDLE_TIMEOUT);
    daemon.holds = true;
    int fd = fake_daemon_connect(&daemon), other = fake_daemon_connect(&daemon);
    call(fd, framed, "getName", 1, none);
    while (daemon.n_collected == 0)
        g_usleep(100);
    close(fd);
    fake_daemon_deliver(&daemon);
    daemon.holds = false;
    call(other, framed, "getName", 2, none);
    expect_name(other, framed, 2);
    close(other);
    fake_daemon_stop(&daemon);
}

Test(fb303_connection, ends_with_statistics_still_to_come)
{
    FakeDaemon daemon;
    fake_daemon_start(&daemon, FB303_IDLE_TIMEOUT);
    daemon.holds = true;
    int fd = fake_daemon_connect(&daemon);
    call(fd, framed, "getName", 1, none);
    while (daemon.n_collected == 0)
        g_usleep(100);
    fake_daemon_stop(&daemon);
    expect_closed(fd);
    close(fd);
}

static const char *const window[] = {"window", "2ms", NULL};

/* Everything that changes the daemon, and one call more, so that all have been looked at. */
static void send_changes(int fd)
{
    Buffer bytes = {0};
    fb303_append_call(&bytes, framed, MESSAGE_CALL, "setOption", 1, window);
    fb303_append_call(&bytes, framed, MESSAGE_CALL, "pause", 2, none);
    fb303_append_call(&bytes, framed, MESSAGE_CALL, "reload", 3, none);
    fb303_append_call(&bytes, framed, MESSAGE_CALL, "resume", 4, none);
    fb303_append_call(&bytes, framed, MESSAGE_ONEWAY, "reinitialize", 5, none);
    fb303_append_call(&bytes, framed, MESSAGE_ONEWAY, "shutdown", 6, none);
    fb303_append_call(&bytes, framed, MESSAGE_CALL, "getName", 7, none);
    send_all(fd, (Bytes){bytes.data, bytes.len});
    buffer_clear(&bytes);
}

Test(fb303_connection, the_same_user_may_change_the_daemon_over_a_unix_socket)
{
    FakeDaemon daemon;
    fake_daemon_start(&daemon, FB303_IDLE_TIMEOUT);
    int fd = fake_daemon_connect(&daemon);
    send_changes(fd);
    expect_done(fd, "setOption");
    expect_done(fd, "pause");
    expect_done(fd, "reload");
    expect_done(fd, "resume");
    expect_name(fd, framed, 7);
    cr_expect_str_eq(daemon.option, "window=2ms");
    cr_expect_eq(daemon.n_reloads, 2);
    cr_expect_eq(daemon.n_drains, 1);
    cr_expect_eq(daemon.paused, 0);
    close(fd);
    fake_daemon_stop(&daemon);
}

Test(fb303_connection, nobody_may_over_tcp)
{
    FakeDaemon daemon;
    fake_daemon_start(&daemon, FB303_IDLE_TIMEOUT);
    int fd = fake_daemon_connect_tcp(&daemon);
    send_changes(fd);
    expect_refusal(fd, 1, EXCEPTION_INTERNAL_ERROR, "setOption: what changes the daemon");
    expect_refusal(fd, 2, EXCEPTION_INTERNAL_ERROR, "pause: ");
    expect_refusal(fd, 3, EXCEPTION_INTERNAL_ERROR, "only over its unix socket");
    expect_refusal(fd, 4, EXCEPTION_INTERNAL_ERROR, "resume: ");
    expect_name(fd, framed, 7);
    cr_expect_eq(daemon.n_options, 0);
    cr_expect_eq(daemon.n_reloads, 0);
    cr_expect_eq(daemon.n_drains, 0);
    cr_expect_eq(daemon.paused, -1);
    close(fd);
    fake_daemon_stop(&daemon);
}

Test(fb303_connection, a_failure_is_an_exception_with_its_words)
{
    static const char *const unknown[] = {"windw", "2ms", NULL}, *const key[] = {"nothing", NULL};
    FakeDaemon daemon;
    fake_daemon_start(&daemon, FB303_IDLE_TIMEOUT);
    daemon.failure = "line 1: this\nline 2: that";
    int fd = fake_daemon_connect(&daemon);
    call(fd, framed, "reload", 1, none);
    expect_refusal(fd, 1, EXCEPTION_INTERNAL_ERROR, "line 1: this\nline 2: that");
    call(fd, framed, "setOption", 2, window);
    expect_refusal(fd, 2, EXCEPTION_INTERNAL_ERROR, "line 1");
    call(fd, framed, "setOption", 3, unknown);
    expect_refusal(fd, 3, EXCEPTION_INTERNAL_ERROR,
                   "'windw'; there are window, max_calls, flush, log_level");
    call(fd, framed, "getOption", 4, none);
    expect_refusal(fd, 4, EXCEPTION_INTERNAL_ERROR, "there is no option ''");
    call(fd, framed, "getCounter", 5, key);
    expect_refusal(fd, 5, EXCEPTION_INTERNAL_ERROR, "there is no counter 'nothing'");
    call(fd, framed, "getCounter", 6, none);
    expect_refusal(fd, 6, EXCEPTION_INTERNAL_ERROR, "there is no counter ''");
    call(fd, framed, "getCpuProfile", 7, none);
    expect_refusal(fd, 7, EXCEPTION_INTERNAL_ERROR, "no profile");
    cr_expect_eq(daemon.n_options, 1);
    close(fd);
    fake_daemon_stop(&daemon);
}
