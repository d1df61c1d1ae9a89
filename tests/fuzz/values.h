/* Whether two structs have equal values, whatever protocol each is in. */
#pragma once

#include "wire/thrift.h"

/* Both parse and fill their bytes, and have the same fields with the same ids and types in the same
 * order, and so on down. The element types of empty containers are not compared. */
bool structs_equal(Protocol protocol_a, Bytes a, Protocol protocol_b, Bytes b);
