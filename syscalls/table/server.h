#ifndef SYSCALLS_TABLE_SERVER_H_
#define SYSCALLS_TABLE_SERVER_H_

#include "sentry/kernel/kernel.h"

namespace runsc {

// Serves system calls by the table and traces them if asked to.
class TableServer final : public SyscallServer {
 public:
  int64_t Serve(Task& t, uint64_t number) override;
};

}  // namespace runsc

#endif  // SYSCALLS_TABLE_SERVER_H_
