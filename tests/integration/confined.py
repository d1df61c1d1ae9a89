#!/usr/bin/python3
"""Runs a program under the system call filters of a unit: confined.py UNIT PROGRAM [ARGUMENT...].

What systemd would refuse with an error ends the program here (SIGSYS), so that nothing is overlooked
that it would have done without.
"""

import errno
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import seccomp

PROT_WRITE, PROT_EXEC, SHM_EXEC = 2, 4, 0o100000
CLONE_NEW = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)


def settings(unit, key):
    return re.findall(rf"^{key}=(.*)$", Path(unit).read_text(), re.M)


def calls_of(group):
    """The system calls of a group such as @system-service, and of those in it."""
    text = subprocess.run(["systemd-analyze", "syscall-filter", group], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    names = [line.strip() for line in text.splitlines()[1:]]
    calls = {name for name in names if re.match(r"\w", name)}
    return calls.union(*(calls_of(name) for name in names if name.startswith("@")))


def allowed_calls(unit):
    """What the SystemCallFilter lines leave, one after the other."""
    allowed = set()
    for value in settings(unit, "SystemCallFilter"):
        named = set().union(*(calls_of(name) if name.startswith("@") else {name}
                              for name in value.removeprefix("~").split()))
        allowed = allowed - named if value.startswith("~") else allowed | named
    return allowed


def add(rules, action, name, *arguments):
    """A rule, where this machine has that system call."""
    try:
        rules.add_rule(action, name, *arguments)
    except (RuntimeError, OSError):
        pass


def restrict_families(unit):
    """RestrictAddressFamilies="""
    wanted = {int(getattr(socket, name))
              for name in settings(unit, "RestrictAddressFamilies")[0].split()}
    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    for family in set(range(64)) - wanted:
        rules.add_rule(seccomp.KILL_PROCESS, "socket", seccomp.Arg(0, seccomp.EQ, family))
    rules.load()


def restrict_namespaces():
    """RestrictNamespaces=yes. As systemd does it: clone3 hides its flags, so it is not there."""
    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    for flag in CLONE_NEW:
        add(rules, seccomp.KILL_PROCESS, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, flag, flag))
    for name in ("unshare", "setns"):
        add(rules, seccomp.KILL_PROCESS, name)
    add(rules, seccomp.ERRNO(errno.ENOSYS), "clone3")
    rules.load()


def deny_write_execute():
    """MemoryDenyWriteExecute=yes"""
    both = PROT_WRITE | PROT_EXEC
    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    add(rules, seccomp.KILL_PROCESS, "mmap", seccomp.Arg(2, seccomp.MASKED_EQ, both, both))
    for name in ("mprotect", "pkey_mprotect"):
        add(rules, seccomp.KILL_PROCESS, name,
            seccomp.Arg(2, seccomp.MASKED_EQ, PROT_EXEC, PROT_EXEC))
    add(rules, seccomp.KILL_PROCESS, "shmat", seccomp.Arg(2, seccomp.MASKED_EQ, SHM_EXEC, SHM_EXEC))
    rules.load()


def filter_calls(allowed):
    """SystemCallFilter="""
    rules = seccomp.SyscallFilter(seccomp.KILL_PROCESS)
    for name in allowed:
        add(rules, seccomp.ALLOW, name)
    rules.load()


def main():
    unit, command = sys.argv[1], sys.argv[2:]
    calls = allowed_calls(unit)
    assert {"execve", "read"} <= calls and "settimeofday" not in calls, calls
    assert settings(unit, "MemoryDenyWriteExecute") == settings(unit, "RestrictNamespaces") == ["yes"]
    restrict_families(unit)
    restrict_namespaces()
    deny_write_execute()
    filter_calls(calls)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
