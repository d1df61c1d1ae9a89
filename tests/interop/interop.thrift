/*
 * The demo service as a client sees it that is newer than its server: one more method, which no
 * server knows, with what demo.thrift has no place for.
 */

include "demo.thrift"

namespace c_glib Interop
namespace cpp thrift_batch_interop
namespace go thrift_batch_interop
namespace java thrift_batch_interop
namespace js ThriftBatchInterop
namespace perl ThriftBatchInterop
namespace php ThriftBatchInterop
namespace py thrift_batch_interop
namespace rb ThriftBatchInterop

service Newer extends demo.Directory {
  i32 unheardOf(1: list<bool> flags, 2: map<string, bool> named,
                3: list<list<list<list<list<list<bool>>>>>> deep, 4: map<string, i64> none)
}
