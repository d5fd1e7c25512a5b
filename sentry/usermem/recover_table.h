#ifndef SENTRY_USERMEM_RECOVER_TABLE_H_
#define SENTRY_USERMEM_RECOVER_TABLE_H_

#include <cstdint>

namespace runsc::internal {

// Where to continue if the instruction at `pc` faulted; 0 if it is not one of ours.
uint64_t RecoverAddress(uint64_t pc);

}  // namespace runsc::internal

#endif  // SENTRY_USERMEM_RECOVER_TABLE_H_
