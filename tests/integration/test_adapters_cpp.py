"""The adapter for C++ (idl/adapters/cpp), by a real server in C++."""

from compiled_adapters import AdapterContract


class TestCpp(AdapterContract):
    language = "cpp"
