"""Answers as they should not be: what a Scripted upstream's `script` returns for a message."""

import select
import socket
import struct
import time

import wire
from harness import PATIENCE
from scripted import CLOSE, SILENCE, answer, calls_of, honest, is_batch

# --- what stands in an answer to a batch ----------------------------------------------------------

def right_answers(message):
    return [answer(call) for call in calls_of(message)]


def changed(message, change):
    """The right answer to a batch or to a native batch, with `change` made to its list."""
    if is_batch(message):
        return wire.encode(wire.batch_reply(message, change(right_answers(message))))
    kind, values = answer(message).value(0)
    return wire.encode(wire.reply(message, (0, wire.LIST, (kind, change(values)))))


def one_too_few(message):
    return changed(message, lambda answers: answers[:-1])


def one_too_many(message):
    return changed(message, lambda answers: [*answers, answers[-1]])


def shuffled(message):
    return changed(message, lambda answers: answers[::-1])


def duplicated(message):
    return changed(message, lambda answers: [answers[0], *answers[:-1]])


def same_sequence_ids(message):
    answers = right_answers(message)
    for each in answers:
        each.seqid = 0
    return wire.encode(wire.batch_reply(message, answers))


def calls_for_answers(message):
    return wire.encode(wire.batch_reply(message, calls_of(message)))


def items_of_garbage(message):
    return wire.encode(wire.batch_reply(message, [b"\xff\0garbage"] * len(calls_of(message))))


def truncated_items(message):
    return wire.encode(wire.batch_reply(
        message, [wire.encode(each)[:-1] for each in right_answers(message)]))


def items_too_long(message):
    return wire.encode(wire.batch_reply(
        message, [wire.encode(each) + b"\0" for each in right_answers(message)]))


def of_another_type(message):
    return wire.encode(wire.reply(message, (0, wire.I32, 7)))


def list_of_another_type(message):
    return wire.encode(wire.reply(message, (0, wire.STRUCT, [(1, wire.LIST, (wire.I32, [1, 2]))])))


def no_result(message):
    return wire.encode(wire.reply(message))


REASON = "not this one"


def first_refused(message):
    """The first call's answer is an exception, the others are right."""
    first, *others = calls_of(message)
    return wire.encode(wire.batch_reply(message, [
        wire.exception(first, wire.INTERNAL_ERROR, REASON), *map(answer, others)]))


# --- the message that is the answer ---------------------------------------------------------------

def right_reply(message):
    return wire.decode_whole(honest(message))


def another_sequence_id(message):
    reply = right_reply(message)
    reply.seqid += 1000
    return wire.encode(reply)


def another_method(message):
    reply = right_reply(message)
    reply.name = b"other"
    return wire.encode(reply)


def a_call(message):
    return wire.encode(wire.Message(message.name, wire.CALL, message.seqid))


def an_exception(message):
    return wire.encode(wire.exception(message, wire.INTERNAL_ERROR, REASON))


def garbage(_message):
    return b"HTTP/1.1 500 Internal Server Error\r\n\r\n"


def empty_frame(_message):
    return b""


def truncated(message):
    return honest(message)[:-1]


def behind_the_answer(message):
    return honest(message) + b"\0"


# --- the bytes, which nothing follows; it is for the daemon to end the connection -----------------

def as_they_are(data):
    def send(sock, _packed):
        sock.sendall(data)
        return True

    return send


def negative_frame(_message):
    return as_they_are(b"\xff\xff\xff\xff" + bytes(100))


def frame_of_2_gb(_message):
    return as_they_are(b"\x7f\xff\xff\xff" + bytes(100))


def string_of_2_gb(message):
    head = wire.encode(wire.Message(message.name, wire.REPLY, message.seqid))[:-1]
    return as_they_are(head + struct.pack(">bhi", wire.STRING, 0, 0x7fffffff) + bytes(100))


def claims_a_huge_list(message):
    data = wire.encode(wire.Message(message.name, wire.REPLY, message.seqid))[:-1]
    return data + bytes.fromhex("0c0000 0f0001 0c 7fffffff")


# --- when the bytes come, and how the connection ends ---------------------------------------------

def twice(message):
    """Nobody is waiting for the second one."""
    def send(sock, packed):
        sock.sendall(2 * packed(honest(message)))
        return True

    return send


def close(_message):
    return CLOSE


def half_of(data):
    return data[:len(data) // 2]


def close_mid_answer(message):
    def send(sock, packed):
        sock.sendall(half_of(packed(honest(message))))
        return False

    return send


def close_mid_header(_message):
    return CLOSE, b"\0\0"


def reset(_message):
    """A RST instead of a FIN."""
    def send(sock, _packed):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        return False

    return send


def silence(_message):
    return SILENCE


def silence_mid_answer(message):
    def send(sock, packed):
        sock.sendall(half_of(packed(honest(message))))
        return True

    return send


def reads_no_more(_message):
    """Nor answers, until the other side has given up."""
    def wait(sock, _packed):
        poll = select.poll()
        poll.register(sock, select.POLLRDHUP)
        poll.poll(PATIENCE * 1000)
        return False

    return wait


def late(message):
    time.sleep(0.02)
    return honest(message)


def byte_by_byte(message):
    def send(sock, packed):
        for byte in packed(honest(message)):
            sock.sendall(bytes([byte]))
            time.sleep(0.0001)  # so that each is a read of its own
        return True

    return send
