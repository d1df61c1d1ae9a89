/* Sending what lies in pieces. For each piece the kernel takes longer (about 40 ns) than a small
 * one takes to be copied, and for any array of them longer still (300 ns): so small ones are put
 * together first, and one piece is sent without an array. */
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include "net/loop.h"

size_t pieces_len(const struct iovec *pieces, size_t n);

/* Like sendmsg() of these `n` pieces, at least one and at most IOV_MAX; never raises SIGPIPE. */
ssize_t pieces_send(Loop *loop, int fd, const struct iovec *pieces, size_t n);
