/* Thrift c_glib and the generated code of AdminService, beside the wire layer: both have a type of
 * the name ThriftType. c_glib's stays out of the way under another one. */
#pragma once

#define ThriftType CGlibThriftType
#include <fb303_admin_service.h>
#include <memory-transport.h>
#include <thrift/c_glib/protocol/thrift_binary_protocol.h>
#include <thrift/c_glib/protocol/thrift_compact_protocol.h>
#include <thrift/c_glib/thrift_application_exception.h>
#undef ThriftType
