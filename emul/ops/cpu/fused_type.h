/* The kernels of one element type for one instruction set: included with TYPE defined.
 *
 * Sums and products work on units of the type, minima and maxima on its ordered units: float16 is
 * widened for arithmetic, but compared as it is.
 */
#define UNIT NAME(TYPE, unit)
#define UNIT_BYTES NAME(TYPE, unit_bytes)
#define LOAD NAME(TYPE, load)
#define STORE NAME(TYPE, store)
#define STREAM NAME(TYPE, stream)
#define DIVIDE NAME(TYPE, divide)
#define SETTLE NAME(TYPE, settle)

#define KERNEL NAME(TYPE, run_sum)
#define COMBINE NAME(TYPE, sum)
#include "fused_kernel.h"

#define KERNEL NAME(TYPE, run_prod)
#define COMBINE NAME(TYPE, prod)
#include "fused_kernel.h"

#undef UNIT
#undef UNIT_BYTES
#undef LOAD
#undef STORE
#undef STREAM
#undef DIVIDE
#undef SETTLE
#define UNIT NAME(TYPE, ordered)
#define UNIT_BYTES VECTOR_BYTES
#define LOAD NAME(TYPE, load_ordered)
#define STORE NAME(TYPE, store_ordered)
#define STREAM NAME(TYPE, stream_ordered)
#define DIVIDE(unit, divisor) (unit)
#define SETTLE(unit) (unit)

#define KERNEL NAME(TYPE, run_min)
#define COMBINE NAME(TYPE, min)
#include "fused_kernel.h"

#define KERNEL NAME(TYPE, run_max)
#define COMBINE NAME(TYPE, max)
#include "fused_kernel.h"

#undef UNIT
#undef UNIT_BYTES
#undef LOAD
#undef STORE
#undef STREAM
#undef DIVIDE
#undef SETTLE
#undef TYPE
