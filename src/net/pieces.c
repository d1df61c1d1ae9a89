#include "net/pieces.h"

#include <glib.h>
#include <string.h>
#include <sys/socket.h>

/* On average; of larger ones the copy costs more than it saves. */
enum { SMALL_PIECE = 1024 };

size_t pieces_len(const struct iovec *pieces, size_t n)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++)
        len += pieces[i].iov_len;
    return len;
}

static void put_together(uint8_t *to, const struct iovec *pieces, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        memcpy(to, pieces[i].iov_base, pieces[i].iov_len);
        to += pieces[i].iov_len;
    }
}

ssize_t pieces_send(Loop *loop, int fd, const struct iovec *pieces, size_t n)
{
    if (n == 1)
        return send(fd, pieces->iov_base, pieces->iov_len, MSG_NOSIGNAL);
    size_t len = pieces_len(pieces, n);
    if (len <= MIN(n * SMALL_PIECE, (size_t)LOOP_WRITE_SIZE)) {
        put_together(loop->write_buffer, pieces, n);
        return send(fd, loop->write_buffer, len, MSG_NOSIGNAL);
    }
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces, .msg_iovlen = n};
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}
